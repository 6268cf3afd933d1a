import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { answers, fails, hangs, streams } from "../../support/fake-provider.ts";
import {
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  failureOf,
  HUGGINGFACE,
  inFakeTime,
  OPENAI,
  timed,
} from "../../support/gateway-harness.ts";

/** The promise: an answer is never later than this after the deadline. */
const GRACE_MS = 50;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("one deadline over a chain", () => {
  it("gives a silent provider half of what is left while a fallback remains, and the last one all of it", async () => {
    const harness = createHarness();
    harness.openai.plays(hangs());
    harness.deepseek.plays(hangs());
    harness.huggingface.plays(answers({ afterMs: 2_000 }));
    const { value, elapsedMs } = await timed(harness.complete({ deadlineMs: 10_000 }));
    expect(value.attempts.map(({ provider, errorReason }) => [provider, errorReason])).toEqual([
      ["openai", "PROVIDER_TIMEOUT"],
      ["deepseek", "PROVIDER_TIMEOUT"],
      ["huggingface", undefined],
    ]);
    expect(value.attempts.map(({ latencyMs }) => latencyMs)).toEqual([5_000, 2_500, 2_000]);
    expect(elapsedMs).toBe(9_500);
    expectLedgerLaws(harness);
  });

  it("gives no attempt more than PROVIDER_TIMEOUT", async () => {
    const harness = createHarness({ timeouts: { providerTimeoutMs: 1_000 } });
    harness.openai.plays(hangs());
    harness.deepseek.plays(hangs());
    harness.huggingface.plays(hangs());
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete({ deadlineMs: 60_000 }));
    expect(error.reason).toBe("PROVIDER_TIMEOUT");
    expect(performance.now() - startedAtMs).toBe(3_000);
    expect(error.attempts.map(({ billingState }) => billingState)).toEqual(["unknown", "unknown", "unknown"]);
  });

  it("says DEADLINE_EXCEEDED in time when every provider is silent, and aborts the last one at the deadline", async () => {
    const harness = createHarness();
    for (const provider of [harness.openai, harness.deepseek, harness.huggingface]) provider.plays(hangs());
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete({ deadlineMs: 1_000 }));
    expect(error.reason).toBe("DEADLINE_EXCEEDED");
    expect(performance.now() - startedAtMs).toBeLessThanOrEqual(1_000 + GRACE_MS);
    expect(harness.huggingface.calls[0]?.abortedAtMs).toBe(startedAtMs + 1_000);
    expect(error.attempts.map(({ outcome }) => outcome)).toEqual(["failed", "failed", "cancelled"]);
    expect(harness.ledger.onlyRequest).toMatchObject({ status: "error", errorReason: "DEADLINE_EXCEEDED" });
    expectLedgerLaws(harness);
  });

  it("never sends what is overdue already, though no timer has fired yet", async () => {
    const harness = createHarness();
    const error = await failureOf(harness.complete({ deadlineMs: -1 }));
    expect(error.reason).toBe("DEADLINE_EXCEEDED");
    expect(error.attempts).toEqual([]);
    expect(harness.timeline).toEqual(["finish", "finished"]);
  });

  it("treats a stream's first token as it treats an answer", async () => {
    const harness = createHarness();
    harness.openai.plays(hangs());
    const { value, elapsedMs } = await timed(harness.stream({ deadlineMs: 4_000 }));
    expect(value.provider).toBe("deepseek");
    expect(elapsedMs).toBe(2_000);
  });

  it("lets a stream that has begun use all that is left", async () => {
    const harness = createHarness();
    const slow = Array.from({ length: 9 }, () => ({ afterMs: 1_000, texts: ["word "] }));
    harness.openai.plays(streams(slow));
    const { value, elapsedMs } = await timed(harness.stream({ deadlineMs: 10_000 }));
    expect(value.provider).toBe("openai");
    expect(elapsedMs).toBe(9_000);
  });

  it("ends a running stream at the deadline and settles what was received", async () => {
    const harness = createHarness();
    harness.openai.plays(
      streams([
        { afterMs: 100, texts: ["one ", "two "] },
        { afterMs: 60_000, texts: ["x"] },
      ]),
    );
    const startedAtMs = performance.now();
    const error = await failureOf(harness.stream({ deadlineMs: 1_000 }));
    expect(error.reason).toBe("DEADLINE_EXCEEDED");
    expect(performance.now() - startedAtMs).toBeLessThanOrEqual(1_000 + GRACE_MS);
    expect(error.attempts[0]).toMatchObject({
      outcome: "cancelled",
      usageSource: "estimated",
      billingState: "settled",
      usage: { tokensOut: 2 },
    });
    expect(harness.deepseek.calls).toHaveLength(0);
  });
});

describe("a caller who goes away", () => {
  it("is noticed at once: the provider is aborted, nothing else is tried, the attempt is settled", async () => {
    const harness = createHarness();
    harness.openai.plays(hangs());
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 300);
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete({ signal: caller.signal }));
    expect(error.reason).toBe("CANCELLED");
    expect(harness.openai.calls[0]?.abortedAtMs).toBe(startedAtMs + 300);
    expect(harness.deepseek.calls).toHaveLength(0);
    expect(harness.ledger.onlyRequest).toMatchObject({ status: "cancelled", errorReason: "CANCELLED" });
    expect(harness.ledger.settled[0]).toMatchObject({ outcome: "cancelled", billingState: "unknown" });
    expectLedgerLaws(harness);
  });

  it("was gone before the first attempt: nothing is opened or sent", async () => {
    const harness = createHarness();
    const error = await failureOf(harness.complete({ signal: AbortSignal.abort() }));
    expect(error.reason).toBe("CANCELLED");
    expect(harness.timeline).toEqual(["finish", "finished"]);
  });

  it("wakes a backoff at once", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(fails("PROVIDER_RATE_LIMITED", { retryAfterMs: 8_000 }));
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 1_234);
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete({ signal: caller.signal }));
    expect(error.reason).toBe("CANCELLED");
    expect(performance.now() - startedAtMs).toBe(1_234);
    expect(harness.openai.calls).toHaveLength(1);
    expectLedgerLaws(harness);
  });

  it("at the moment a provider fails is what the request ended with", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    const caller = new AbortController();
    harness.openai.plays(fails("PROVIDER_TIMEOUT"));
    harness.ledger.does({ settle: async () => caller.abort() });
    const error = await failureOf(harness.complete({ signal: caller.signal }));
    expect(error.reason).toBe("CANCELLED");
    expect(error.attempts).toMatchObject([{ errorReason: "PROVIDER_TIMEOUT" }]);
    expect(harness.deepseek.calls).toHaveLength(0);
  });

  it("counts as a passed deadline when its own timer fired just before ours", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(hangs());
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 999);
    const error = await failureOf(harness.complete({ signal: caller.signal, deadlineMs: 1_000 }));
    expect(error.reason).toBe("DEADLINE_EXCEEDED");
  });

  it("leaves no listener and no timer behind", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK, HUGGINGFACE] });
    const caller = new AbortController();
    const remove = vi.spyOn(caller.signal, "removeEventListener");
    await inFakeTime(harness.complete({ signal: caller.signal }));
    expect(vi.getTimerCount()).toBe(0);
    expect(remove).toHaveBeenCalledWith("abort", expect.any(Function));
  });
});
