import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import {
  CompletionService,
  Recovery,
  StreamCompleteRequestSchema,
  type StreamCompleteResponse,
} from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { ErrorReason } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import { AttemptOutcome, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { CALL_KINDS, type CompletionOutcome } from "../support/completion-client.ts";
import { expectLawL } from "../support/law-l.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { scrape } from "../support/scrape.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const HEDGE_AFTER_MS = 150;
const COUNT = 12;

/** `hedged-1` is the first provider of each group, and so on: each test takes two with closed breakers. */
const routes = Array.from({ length: COUNT }, (_, index) => {
  const candidates = [`openai-${index + 1}/sim-model`, `deepseek-${index + 1}/sim-model`];
  return [
    [`hedged-${index + 1}`, { strategy: "ordered", candidates, hedge_after_ms: HEDGE_AFTER_MS }],
    [`recovered-${index + 1}`, { strategy: "ordered", candidates, recovery: "restart" }],
  ] as const;
}).flat();

const bench = useFaultBench({
  groups: {
    openai: { profile: "openai", count: COUNT },
    deepseek: { profile: "deepseek", count: COUNT },
  },
  models: Object.fromEntries(routes),
  env: { STREAM_IDLE_TIMEOUT: "0.4" },
});

let used = 0;
const nextRoute = (kind: "hedged" | "recovered"): string => `${kind}-${++used}`;

const outcomesOf = ({ attempts }: CompletionOutcome) =>
  attempts.map(({ ordinal, provider, outcome }) => [ordinal, provider.split("-")[0], outcome]);

const observed = (requestId: string, path: string) =>
  bench()
    .simulator.requests.recent()
    .filter((request) => request.path.includes(path) && JSON.stringify(request.body).includes(requestId));

/** The cost of the answer is that of all its attempts, each of which is on the ledger. */
async function expectPaid({ requestId, attempts, cost }: CompletionOutcome) {
  const records = (await expectLawL(bench())).recordsOf(requestId);
  expect(records.map(({ attemptId }) => attemptId).sort()).toEqual(
    attempts.map(({ attemptId }) => attemptId).sort(),
  );
  const pico = (usd: string | undefined) => BigInt((usd ?? "0").replace(".", ""));
  const sum = records.reduce((total, record) => total + pico(record.cost?.costUsd), 0n);
  expect(pico(cost?.costUsd)).toBe(sum);
  return records;
}

describe("a slow first candidate and a fast second one", () => {
  it.each(CALL_KINDS)(
    "%s: the second one answers, the first one's socket is closed at once",
    async (kind) => {
      const slow: Script = kind === "unary" ? { latencyMs: 4_000 } : { firstTokenDelayMs: 4_000 };
      const answer: Script = { text: "the fast answer", tokenDelayMs: 5 };
      let firstTextAtMs: number | undefined;
      const outcome = await bench().complete({
        ...{ kind, model: nextRoute("hedged"), scripts: { openai: slow, deepseek: answer } },
        onText: () => {
          firstTextAtMs ??= Date.now();
        },
      });
      const wonAtMs = firstTextAtMs ?? Date.now();
      expect(outcome).toMatchObject({ reason: undefined, text: "the fast answer" });
      expect(outcome.elapsedMs).toBeLessThan(2_000);
      expect(outcomesOf(outcome)).toEqual([
        [1, "openai", AttemptOutcome.CANCELLED],
        [2, "deepseek", AttemptOutcome.SUCCEEDED],
      ]);
      const sent = observed(outcome.requestId, "/openai/");
      await expect
        .poll(() => observed(outcome.requestId, "/openai/")[0]?.aborted, { interval: 5, timeout: 2_000 })
        .toBe(true);
      const [{ startedAt, abortedAfterMs = Number.POSITIVE_INFINITY } = { startedAt: 0 }] = observed(
        outcome.requestId,
        "/openai/",
      );
      expect(sent).toHaveLength(1);
      expect(startedAt + abortedAfterMs - wonAtMs).toBeLessThanOrEqual(250 + MACHINE_NOISE_MS);
      const [lost, won] = await expectPaid(outcome);
      expect(lost?.flags).toContain("HEDGE_LOST");
      expect(won).toMatchObject({ flags: [], usage: { source: UsageSource.REPORTED } });
    },
  );

  it("is counted and logged as a hedge, and as no error of the first one", async () => {
    const model = nextRoute("hedged");
    const outcome = await bench().complete({
      ...{ kind: "unary", model, scripts: { openai: { latencyMs: 4_000 } } },
    });
    const [first, second] = outcome.attempts;
    const labels = { from_provider: first?.provider ?? "", to_provider: second?.provider ?? "" };
    const metrics = await scrape(bench().url);
    expect(metrics.sum("llm_gateway_hedges_total", { ...labels, won: "true" })).toBe(1);
    expect(metrics.sum("llm_gateway_errors_total", { provider: labels.from_provider })).toBe(0);
    const line = () =>
      bench()
        .gateway.output()
        .split("\n")
        .find((text) => text.includes(outcome.requestId));
    await expect.poll(line, { interval: 5, timeout: 2_000 }).toBeDefined();
    expect(JSON.parse(line() ?? "{}")).toMatchObject({ hedged: true, attempts: 2, fell_back: true });
  });

  it("the first one may still win, and then the second one's socket is closed", async () => {
    const outcome = await bench().complete({
      ...{ kind: "stream", model: nextRoute("hedged") },
      scripts: {
        openai: { firstTokenDelayMs: 600, text: "late but first" },
        deepseek: { firstTokenDelayMs: 4_000 },
      },
    });
    expect(outcome).toMatchObject({ reason: undefined, text: "late but first" });
    expect(outcomesOf(outcome)).toEqual([
      [2, "deepseek", AttemptOutcome.CANCELLED],
      [1, "openai", AttemptOutcome.SUCCEEDED],
    ]);
    await expectPaid(outcome);
  });
});

describe("a stream that breaks off after its first tokens", () => {
  it.each([
    ["cut", { cutAfterTokens: 3, tokensOut: 40, tokenDelayMs: 5 }, ErrorReason.PROVIDER_STREAM_CUT],
    ["stalled", { stallAfterTokens: 3, tokensOut: 40, tokenDelayMs: 5 }, ErrorReason.PROVIDER_TIMEOUT],
    [
      "ended without its end",
      { fault: "cleanEnd", afterTokens: 3, tokensOut: 40 },
      ErrorReason.PROVIDER_STREAM_CUT,
    ],
  ] satisfies [string, Script, ErrorReason][])("%s: begins anew, over gRPC", async (_how, openai, reason) => {
    let discarded = "";
    const outcome = await bench().complete({
      ...{ kind: "stream", model: nextRoute("recovered") },
      scripts: { openai, deepseek: { text: "the whole second answer" } },
      onText: (text) => {
        discarded += text;
      },
    });
    expect(outcome).toMatchObject({ reason: undefined, text: "the whole second answer", restarts: [reason] });
    expect(discarded.length).toBeGreaterThan(outcome.text.length);
    expect(outcomesOf(outcome)).toEqual([
      [1, "openai", AttemptOutcome.FAILED],
      [2, "deepseek", AttemptOutcome.SUCCEEDED],
    ]);
    const [failed] = await expectPaid(outcome);
    expect(failed?.usage?.tokensOut).toBeGreaterThanOrEqual(3n);
  });

  it("begins anew when its caller asks for it, and fails when its caller does not want it", async () => {
    const scripts = { openai: { cutAfterTokens: 3, tokensOut: 40 }, deepseek: { text: "whole" } };
    const model = bench().candidate();
    const fallbackModels = [bench().candidate("deepseek")];
    const call = { kind: "stream", model, fallbackModels, scripts } as const;
    expect(await bench().complete({ ...call, recovery: Recovery.RESTART })).toMatchObject({
      ...{ reason: undefined, text: "whole" },
    });
    const asRouted = await bench().complete(call);
    expect(asRouted).toMatchObject({ reason: "PROVIDER_STREAM_CUT", restarts: [] });
    expect(asRouted.attempts).toHaveLength(1);
    const refused = await bench().complete({
      ...{ ...call, model: nextRoute("recovered"), recovery: Recovery.OFF, fallbackModels: [] },
    });
    expect(refused).toMatchObject({ reason: "PROVIDER_STREAM_CUT", restarts: [] });
  });

  it("tells it over Connect with JSON, too", async () => {
    const transport = createConnectTransport({
      ...{ baseUrl: bench().url, httpVersion: "1.1", useBinaryFormat: false },
    });
    const scripts = { openai: { cutAfterTokens: 3, tokensOut: 40 }, deepseek: { text: "the whole answer" } };
    const { requestId, text } = bench().expects({ scripts });
    const events: StreamCompleteResponse["event"][] = [];
    const message = create(StreamCompleteRequestSchema, {
      recovery: Recovery.RESTART,
      request: {
        ...{ requestId, model: nextRoute("hedged") },
        messages: [{ role: 2, parts: [{ content: { case: "text", value: text } }] }],
      },
    });
    const stream = createClient(CompletionService, transport).streamComplete(message, {
      headers: { authorization: `Bearer ${bench().secret}` },
    });
    for await (const { event } of stream) events.push(event);
    const cases = events.map((event) => event.case);
    const restart = cases.indexOf("restarted");
    expect(cases[0]).toBe("started");
    expect(restart).toBeGreaterThan(1);
    expect(events[restart]).toMatchObject({ value: { reason: ErrorReason.PROVIDER_STREAM_CUT } });
    const whole = events
      .slice(restart)
      .map(({ case: kind, value }) => (kind === "textDelta" ? value.text : ""))
      .join("");
    expect(whole).toBe("the whole answer");
    expect(cases.at(-1)).toBe("finished");
  });
});
