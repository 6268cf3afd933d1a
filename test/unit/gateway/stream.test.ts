import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CompletionSink } from "../../../src/core/gateway.ts";
import { answers, fails, streams, usageOf } from "../../support/fake-provider.ts";
import {
  CollectingCompletionSink,
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  failureOf,
  inFakeTime,
  OPENAI,
} from "../../support/gateway-harness.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a stream", () => {
  it("says who answers before the first delta, and passes every delta on in order", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    const sink = new CollectingCompletionSink();
    harness.openai.plays(streams(["Hel", "lo", { afterMs: 30, texts: [" wor", "ld"] }]));
    const result = await inFakeTime(harness.stream({}, sink));
    expect(sink.events).toEqual(["started openai/gpt-5-mini", "Hel", "lo", " world"]);
    expect(result).toMatchObject({ ...OPENAI, finishReasons: [{ choiceIndex: 0, finishReason: "stop" }] });
    expect(result.attempts[0]).toMatchObject({ outcome: "succeeded", billingState: "settled" });
    expectLedgerLaws(harness);
  });

  it("says who answers once, also when the answer has no delta at all", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    const sink = new CollectingCompletionSink();
    harness.openai.plays(streams([]));
    await inFakeTime(harness.stream({}, sink));
    expect(sink.events).toEqual(["started openai/gpt-5-mini"]);
  });

  it("leaves on the ledger what has arrived so far, before it ends", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(streams(["Hel", "lo", { afterMs: 1_100, texts: [" wor", "ld"] }]));
    const { attempts } = await inFakeTime(harness.stream());
    const attemptId = attempts[0]?.attemptId;
    expect(harness.ledger.checkpoints).toEqual([
      { attemptId, outputBytes: 3, deltas: 1 },
      { attemptId, outputBytes: 11, deltas: 4 },
    ]);
  });

  it("names only the provider that answers, after a fallback", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    const sink = new CollectingCompletionSink();
    harness.openai.plays(fails("PROVIDER_TIMEOUT"));
    harness.deepseek.plays(streams(["hi"]));
    await inFakeTime(harness.stream({}, sink));
    expect(sink.events).toEqual(["started deepseek/deepseek-flash", "hi"]);
  });

  it("costs what the same usage costs in a unary call", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    const usage = usageOf(1_234, 567);
    harness.openai.plays(streams(["a"], { kind: "finished", usage }), answers({ usage }));
    const [streamed] = (await inFakeTime(harness.stream())).attempts;
    const [unary] = (await inFakeTime(harness.complete())).attempts;
    expect(streamed?.costPicoUsd).toBe(unary?.costPicoUsd);
    expect(unary?.costPicoUsd).toBeGreaterThan(0n);
  });

  it("reports the time to its first token, once", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(
      streams([
        { afterMs: 120, texts: ["a"] },
        { afterMs: 80, texts: ["b"] },
      ]),
    );
    await inFakeTime(harness.stream());
    expect(harness.telemetry.firstTokensMs).toEqual([120]);
    expect(harness.ledger.settled[0]).toMatchObject({ timeToFirstTokenMs: 120, latencyMs: 200 });
  });

  it.each(["PROVIDER_STREAM_CUT", "PROVIDER_OVERLOADED", "PROVIDER_TIMEOUT", "PROVIDER_ERROR"] as const)(
    "that broke with %s after its first delta is neither retried nor taken over, and its tokens are settled",
    async (reason) => {
      const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
      const sink = new CollectingCompletionSink();
      harness.openai.plays(streams(["12345678", "90"], { kind: "failed", reason }));
      const error = await failureOf(harness.stream({}, sink));
      expect(error.reason).toBe(reason);
      expect(sink.events).toEqual(["started openai/gpt-5-mini", "12345678", "90"]);
      expect(harness.openai.calls).toHaveLength(1);
      expect(harness.deepseek.calls).toHaveLength(0);
      expect(error.attempts).toMatchObject([
        { usageSource: "estimated", billingState: "settled", usage: { tokensOut: 3 } },
      ]);
      expect(error.attempts[0]?.costPicoUsd).toBeGreaterThan(0n);
      expectLedgerLaws(harness);
    },
  );

  it("that broke after the provider stated its usage is settled by that usage", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    const options = { usage: usageOf(100, 50) };
    harness.openai.plays(streams(["a"], { kind: "failed", reason: "PROVIDER_STREAM_CUT", options }));
    const error = await failureOf(harness.stream());
    expect(error.attempts[0]).toMatchObject({
      usageSource: "reported",
      usage: { tokensIn: 100, tokensOut: 50 },
    });
  });
});

describe("a slow reader of a stream", () => {
  it("holds back the provider: the promise of the sink is what the provider waits for", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    const waiting: (() => void)[] = [];
    const taken: string[] = [];
    const sink: CompletionSink = {
      started: () => {},
      deltas: (deltas) => {
        taken.push(...deltas.map((delta) => (delta.kind === "text" ? delta.text : "")));
        return new Promise((resolve) => waiting.push(resolve));
      },
    };
    harness.openai.plays(streams(["a", "b", "c"]));
    const work = harness.stream({}, sink);
    for (const expected of [["a"], ["a", "b"], ["a", "b", "c"]]) {
      await vi.advanceTimersByTimeAsync(100);
      expect(taken).toEqual(expected);
      waiting.shift()?.();
    }
    expect(await inFakeTime(work)).toMatchObject(OPENAI);
  });

  it("who goes away ends the stream as cancelled, without a fallback", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    const sink: CompletionSink = {
      started: () => {},
      deltas: () => Promise.reject(new Error("write after end")),
    };
    harness.openai.plays(streams(["a", "b"]));
    const error = await failureOf(harness.stream({}, sink));
    expect(error.reason).toBe("CANCELLED");
    expect(harness.deepseek.calls).toHaveLength(0);
    expect(error.attempts[0]).toMatchObject({ outcome: "cancelled", usage: { tokensOut: 1 } });
    expectLedgerLaws(harness);
  });
});
