import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { answers, fails, hangs, streams } from "../../support/fake-provider.ts";
import {
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  failureOf,
  inFakeTime,
  OPENAI,
  timed,
} from "../../support/gateway-harness.ts";
import {
  accepts,
  breaksWith,
  hangsForEver,
  isDurableAfter,
  refuses,
} from "../../support/recording-ledger.ts";

const GRACE_MS = 50;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the order of what is written and what is done", () => {
  it("is intent, call, outcome, request, and only then the answer", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.ledger.does({
      open: isDurableAfter(5),
      settle: isDurableAfter(40),
      finish: isDurableAfter(20),
    });
    await inFakeTime(harness.complete().then(() => harness.timeline.push("answer")));
    expect(harness.timeline).toEqual([
      ...["open 1", "opened 1", "call openai", "settle 1", "finish"],
      ...["finished", "settled 1", "answer"],
    ]);
  });

  it("is kept through retries and fallbacks, without waiting for one outcome before the next attempt", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK], jitter: 0 });
    harness.ledger.does({ settle: isDurableAfter(500) });
    harness.openai.plays(fails("PROVIDER_OVERLOADED"), fails("PROVIDER_TIMEOUT"));
    const { elapsedMs } = await timed(harness.complete().then(() => harness.timeline.push("answer")));
    expect(harness.timeline.filter((event) => !event.startsWith("settled"))).toEqual([
      ...["open 1", "opened 1", "call openai", "settle 1"],
      ...["open 2", "opened 2", "call openai", "settle 2"],
      ...["open 3", "opened 3", "call deepseek", "settle 3"],
      ...["finish", "finished", "answer"],
    ]);
    expect(harness.timeline.filter((event) => event.startsWith("settled"))).toHaveLength(3);
    expect(elapsedMs).toBeLessThan(600);
    expectLedgerLaws(harness);
  });

  it("holds for a stream: its end is not told before the outcome is durable", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.ledger.does({ settle: isDurableAfter(300) });
    harness.openai.plays(streams(["a"]));
    const { elapsedMs } = await timed(harness.stream());
    expect(elapsedMs).toBe(300);
  });

  it("puts the price in force on the intent, so that the record keeps it", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    await inFakeTime(harness.complete());
    const [intent] = harness.ledger.opened;
    expect(intent).toMatchObject({
      ...OPENAI,
      ordinal: 1,
      requestId: "request-1",
      apiKeyId: "k_caller000000",
      tags: { team: "search" },
      endUser: "user-1",
      streamed: false,
      price: OPENAI,
    });
    expect(intent?.estimatedTokensIn).toBeGreaterThan(0);
    expect(intent?.attemptId).toMatch(/^[\da-f]{8}-[\da-f]{4}-7/);
  });

  it("gives the request's row the provider that answered last, and how long it took", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(fails("PROVIDER_TIMEOUT", { afterMs: 70 }));
    await inFakeTime(harness.complete());
    expect(harness.ledger.onlyRequest).toEqual({
      requestId: "request-1",
      apiKeyId: "k_caller000000",
      method: "Complete",
      requestedModel: "chain",
      ...DEEPSEEK,
      status: "ok",
      errorReason: undefined,
      attempts: 2,
      fellBack: true,
      latencyMs: 70,
      traceId: harness.telemetry.traceId,
      tags: { team: "search" },
      endUser: "user-1",
      occurredAt: expect.any(Date),
    });
  });
});

describe("a ledger that refuses", () => {
  it("an intent: nothing is sent, LEDGER_UNAVAILABLE", async () => {
    const harness = createHarness();
    harness.ledger.does({ open: refuses });
    const error = await failureOf(harness.complete());
    expect(error).toMatchObject({ reason: "LEDGER_UNAVAILABLE", attempts: [] });
    expect(harness.timeline).toEqual(["open 1", "finish", "finished"]);
    expectLedgerLaws(harness);
  });

  it("the intent of a fallback: what was spent before is reported, nothing more is sent", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    let opens = 0;
    harness.ledger.does({ open: () => (++opens === 1 ? accepts() : refuses()) });
    harness.openai.plays(fails("PROVIDER_TIMEOUT", { billing: "maybe_billed" }));
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe("LEDGER_UNAVAILABLE");
    expect(error.attempts).toMatchObject([{ provider: "openai", billingState: "unknown" }]);
    expect(harness.deepseek.calls).toHaveLength(0);
    expectLedgerLaws(harness);
  });

  it.each(["settle", "finish"] as const)(
    "to keep what was told to %s: the caller gets no answer",
    async (write) => {
      const harness = createHarness({ chain: [OPENAI] });
      const cause = new Error("value out of range");
      harness.ledger.does({ [write]: breaksWith(cause) });
      const error = await failureOf(harness.complete());
      expect(error).toMatchObject({ reason: "LEDGER_UNAVAILABLE", cause });
      expect(error.message).not.toContain("range");
      expect(error.attempts).toHaveLength(1);
      expectLedgerLaws(harness);
    },
  );

  it("to keep an earlier attempt, long before the answer: the caller gets no answer", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(fails("PROVIDER_TIMEOUT"));
    harness.deepseek.plays(answers({ afterMs: 1_000 }));
    harness.ledger.does({ settle: breaksWith(new Error("no")) });
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe("LEDGER_UNAVAILABLE");
    expect(error.attempts).toHaveLength(2);
    expectLedgerLaws(harness);
  });

  it("the records of a failed request: the caller still hears why it failed", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.ledger.does({ settle: breaksWith(new Error("no")), finish: breaksWith(new Error("no")) });
    harness.openai.plays(fails("CONTENT_FILTERED"));
    expect((await failureOf(harness.complete())).reason).toBe("CONTENT_FILTERED");
  });

  it("settles and finishes exactly once even though telemetry breaks", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    vi.spyOn(harness.telemetry.ended, "push").mockImplementation(() => {
      throw new Error("a defect");
    });
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe("INTERNAL");
    expect(harness.ledger.settled).toMatchObject([{ outcome: "succeeded", billingState: "settled" }]);
    expect(harness.ledger.finished).toHaveLength(1);
  });
});

describe("a ledger that hangs", () => {
  it("on an intent: the deadline is answered in time and nothing is sent", async () => {
    const harness = createHarness();
    harness.ledger.does({ open: hangsForEver });
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete({ deadlineMs: 1_000 }));
    expect(error).toMatchObject({
      reason: "DEADLINE_EXCEEDED",
      attempts: [{ outcome: "cancelled", billingState: "not_billed" }],
    });
    expect(performance.now() - startedAtMs).toBeLessThanOrEqual(1_000 + GRACE_MS);
    expect(harness.openai.calls).toHaveLength(0);
    expect(harness.ledger.onlyRequest).toMatchObject({ attempts: 1, errorReason: "DEADLINE_EXCEEDED" });
  });

  it("on an intent and takes it after all: it is settled as never sent", async () => {
    const harness = createHarness();
    harness.ledger.does({ open: isDurableAfter(3_000) });
    await failureOf(harness.complete({ deadlineMs: 1_000 }));
    await vi.advanceTimersByTimeAsync(3_000);
    expect(harness.ledger.opened).toHaveLength(1);
    expect(harness.ledger.settled).toMatchObject([
      { outcome: "cancelled", billingState: "not_billed", costPicoUsd: 0n, usage: undefined },
    ]);
    expect(harness.ledger.settled[0]?.intent).toBe(harness.ledger.opened[0]);
    expect(harness.openai.calls).toHaveLength(0);
  });

  it("on an intent and refuses it in the end: there is nothing to settle", async () => {
    const harness = createHarness();
    const late = isDurableAfter(3_000);
    harness.ledger.does({ open: () => late().then(refuses) });
    await failureOf(harness.complete({ deadlineMs: 1_000 }));
    await vi.advanceTimersByTimeAsync(3_000);
    expect(harness.ledger.settled).toEqual([]);
    expect(harness.ledger.finished).toHaveLength(1);
  });

  it("on an intent while the caller goes away: CANCELLED, nothing is sent", async () => {
    const harness = createHarness();
    harness.ledger.does({ open: isDurableAfter(500) });
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 100);
    const error = await failureOf(harness.complete({ signal: caller.signal }));
    expect(error.reason).toBe("CANCELLED");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(harness.ledger.settled).toHaveLength(1);
    expect(harness.openai.calls).toHaveLength(0);
  });

  it.each(["settle", "finish"] as const)(
    "on %s of an answer: the deadline is what the caller hears",
    async (write) => {
      const harness = createHarness({ chain: [OPENAI] });
      harness.ledger.does({ [write]: hangsForEver });
      const startedAtMs = performance.now();
      const error = await failureOf(harness.complete({ deadlineMs: 1_000 }));
      expect(error.reason).toBe("DEADLINE_EXCEEDED");
      expect(performance.now() - startedAtMs).toBeLessThanOrEqual(1_000 + GRACE_MS);
      expect(error.attempts).toMatchObject([{ outcome: "succeeded", billingState: "settled" }]);
    },
  );

  it("after the deadline: the error is not held up by more than the grace", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.ledger.does({ settle: hangsForEver, finish: hangsForEver });
    harness.openai.plays(hangs());
    const startedAtMs = performance.now();
    expect((await failureOf(harness.complete({ deadlineMs: 1_000 }))).reason).toBe("DEADLINE_EXCEEDED");
    expect(performance.now() - startedAtMs).toBeLessThanOrEqual(1_000 + GRACE_MS);
    expect(harness.ledger.settled).toHaveLength(1);
    expect(harness.ledger.finished).toHaveLength(1);
  });

  it("a little: an answer that came just before the deadline still counts when it is durable within the grace", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    const caller = new AbortController();
    const durable = isDurableAfter(10);
    harness.ledger.does({
      settle: () => {
        caller.abort();
        return durable();
      },
    });
    expect(await inFakeTime(harness.complete({ signal: caller.signal }))).toMatchObject(OPENAI);
    expect(harness.timeline).toContain("settled 1");
    expectLedgerLaws(harness);
  });
});
