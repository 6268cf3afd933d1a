import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SinkRecovery } from "../../../src/core/gateway.ts";
import type { ProviderErrorReason } from "../../../src/core/provider-error.ts";
import { fails, streams } from "../../support/fake-provider.ts";
import {
  CollectingCompletionSink,
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  failureOf,
  type Harness,
  type HarnessOptions,
  HUGGINGFACE,
  inFakeTime,
  OPENAI,
  timed,
} from "../../support/gateway-harness.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const RESTART = { recovery: "restart" } as const;
const start = (options: HarnessOptions = {}): Harness =>
  createHarness({ chain: [OPENAI, DEEPSEEK], ...options });

const breaksOff = (reason: ProviderErrorReason) => streams(["half ", "a"], { kind: "failed", reason });

describe("a stream that breaks off, with recovery", () => {
  it.each(["PROVIDER_STREAM_CUT", "PROVIDER_ERROR", "PROVIDER_OVERLOADED", "PROVIDER_TIMEOUT"] as const)(
    "begins anew with the next candidate after %s, and both are paid for",
    async (reason) => {
      const harness = start();
      const sink = new CollectingCompletionSink();
      harness.openai.plays(breaksOff(reason));
      harness.deepseek.plays(streams(["a ", "whole"]));
      const result = await inFakeTime(harness.stream(RESTART, sink));
      expect(sink.events).toEqual([
        ...["may restart", "started openai/gpt-5-mini", "half ", "a"],
        ...[`restarted deepseek/deepseek-flash after ${reason}`, "a ", "whole"],
      ]);
      expect(result).toMatchObject(DEEPSEEK);
      expect(result.attempts).toMatchObject([
        { outcome: "failed", errorReason: reason, usageSource: "estimated", usage: { tokensOut: 2 } },
        { outcome: "succeeded", usageSource: "reported", usage: { tokensOut: 5 } },
      ]);
      for (const { costPicoUsd = 0n } of result.attempts) expect(costPicoUsd).toBeGreaterThan(0n);
      expect(harness.openai.calls).toHaveLength(1);
      expect(harness.telemetry.fallbacks).toEqual([
        { fromProvider: "openai", toProvider: "deepseek", reason },
      ]);
      expect(harness.ledger.onlyRequest).toMatchObject({ status: "ok", fellBack: true });
      expectLedgerLaws(harness);
    },
  );

  it("begins anew as often as there are candidates", async () => {
    const harness = start({ chain: [OPENAI, DEEPSEEK, HUGGINGFACE] });
    const sink = new CollectingCompletionSink();
    harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
    harness.deepseek.plays(breaksOff("PROVIDER_STREAM_CUT"));
    const { provider } = await inFakeTime(harness.stream(RESTART, sink));
    expect(provider).toBe("huggingface");
    expect(sink.events.filter((event) => event.startsWith("restarted"))).toHaveLength(2);
  });

  it("fails with the last failure when nobody is left, after what was delivered", async () => {
    const harness = start();
    const sink = new CollectingCompletionSink();
    harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
    harness.deepseek.plays(fails("PROVIDER_QUOTA_EXHAUSTED"));
    const error = await failureOf(harness.stream(RESTART, sink));
    expect(error.reason).toBe("PROVIDER_QUOTA_EXHAUSTED");
    expect(sink.events).toEqual(["may restart", "started openai/gpt-5-mini", "half ", "a"]);
    expectLedgerLaws(harness);
  });

  it.each(["CONTENT_FILTERED", "PROVIDER_INVALID_REQUEST"] as const)("does not after %s", async (reason) => {
    const harness = start();
    harness.openai.plays(breaksOff(reason));
    expect((await failureOf(harness.stream(RESTART))).reason).toBe(reason);
    expect(harness.deepseek.calls).toEqual([]);
  });

  it("does not after its deadline, nor when its caller left", async () => {
    for (const caller of [new AbortController().signal, abortedIn(500)]) {
      const harness = start();
      harness.openai.plays(streams(Array.from({ length: 20 }, () => ({ afterMs: 200, texts: ["word "] }))));
      const error = await failureOf(harness.stream({ ...RESTART, deadlineMs: 1_000, signal: caller }));
      expect(["DEADLINE_EXCEEDED", "CANCELLED"]).toContain(error.reason);
      expect(harness.deepseek.calls).toEqual([]);
    }
  });

  it("leaves the next candidate some of the deadline when it falls silent", async () => {
    const harness = start();
    harness.openai.plays(streams(["half", { afterMs: 100_000, texts: ["?"] }]));
    const { value, elapsedMs } = await timed(harness.stream({ ...RESTART, deadlineMs: 10_000 }));
    expect(value.provider).toBe("deepseek");
    expect(elapsedMs).toBe(5_000);
  });

  it("asks nobody twice for it, though it would before the first token", async () => {
    const harness = start({ chain: [OPENAI] });
    harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
    expect((await failureOf(harness.stream(RESTART))).reason).toBe("PROVIDER_STREAM_CUT");
    expect(harness.openai.calls).toHaveLength(1);
  });

  it("gives the next candidate the retries of a first one", async () => {
    const harness = start();
    harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
    harness.deepseek.plays(fails("PROVIDER_OVERLOADED"), streams(["whole"]));
    const { attempts } = await inFakeTime(harness.stream(RESTART));
    expect(attempts.map(({ provider }) => provider)).toEqual(["openai", "deepseek", "deepseek"]);
  });

  it("may be hedged again before its new first token", async () => {
    const harness = start({
      chain: [OPENAI, DEEPSEEK, HUGGINGFACE],
      policy: { hedgeAfterMs: 100, recovery: "restart" },
    });
    const sink = new CollectingCompletionSink();
    harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
    harness.deepseek.plays(streams([{ afterMs: 5_000, texts: ["late"] }]));
    harness.huggingface.plays(streams(["whole"]));
    const { attempts } = await inFakeTime(harness.stream({}, sink));
    expect(sink.events.at(-1)).toBe("whole");
    expect(attempts.map(({ provider, outcome }) => [provider, outcome])).toEqual([
      ["openai", "failed"],
      ["deepseek", "cancelled"],
      ["huggingface", "succeeded"],
    ]);
  });
});

describe("recovery is used", () => {
  it.each([
    { route: "restart", asked: undefined, restarts: true },
    { route: "restart", asked: "off", restarts: false },
    { route: "off", asked: "restart", restarts: true },
    { route: "off", asked: undefined, restarts: false },
    { route: undefined, asked: undefined, restarts: false },
  ] as const)("as the caller says, else as the route does: %j", async ({ route, asked, restarts }) => {
    const harness = start(route && { policy: { recovery: route } });
    harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
    const outcome = harness.stream({ recovery: asked }).then(
      () => true,
      () => false,
    );
    expect(await inFakeTime(outcome)).toBe(restarts);
  });

  it("only where what was delivered can be taken back", async () => {
    const harness = start();
    harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
    const sink = { started: () => {}, deltas: () => undefined };
    expect((await failureOf(harness.stream(RESTART, sink))).reason).toBe("PROVIDER_STREAM_CUT");
  });

  it("as long as what was delivered can be taken back", async () => {
    const harness = start();
    harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
    const collecting = new CollectingCompletionSink();
    const recovery: SinkRecovery = {
      ...collecting.recovery,
      get possible() {
        return !collecting.events.includes("a");
      },
    };
    const sink = Object.assign(collecting, { recovery });
    expect((await failureOf(harness.stream(RESTART, sink))).reason).toBe("PROVIDER_STREAM_CUT");
    expect(harness.deepseek.calls).toEqual([]);
  });
});

it("is repeated without what was discarded", async () => {
  const harness = start();
  harness.openai.plays(breaksOff("PROVIDER_STREAM_CUT"));
  harness.deepseek.plays(streams(["a ", "whole"]));
  const call = { ...RESTART, repeatable: true };
  const first = await inFakeTime(harness.stream(call));
  const sink = new CollectingCompletionSink();
  const again = await inFakeTime(harness.stream(call, sink));
  expect(sink.events).toEqual(["started deepseek/deepseek-flash", "a whole"]);
  expect(again.attempts).toEqual(first.attempts);
});

it("forgets what was discarded also when that was more than is kept", async () => {
  const harness = start({ maxReplayBytes: 300 });
  harness.openai.plays(streams(["x".repeat(400)], { kind: "failed", reason: "PROVIDER_STREAM_CUT" }));
  harness.deepseek.plays(streams(["whole"]));
  const call = { ...RESTART, repeatable: true };
  await inFakeTime(harness.stream(call));
  const sink = new CollectingCompletionSink();
  await inFakeTime(harness.stream(call, sink));
  expect(sink.events).toEqual(["started deepseek/deepseek-flash", "whole"]);
});

function abortedIn(ms: number): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}
