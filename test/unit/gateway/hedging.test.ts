import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { totalAttempts } from "../../../src/core/attempt-totals.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import type { AttemptReport, CompletionSink } from "../../../src/core/gateway.ts";
import { candidateName } from "../../../src/core/model-name.ts";
import { createRetryBudget } from "../../../src/resilience/retry-budget.ts";
import {
  answers,
  type FakeProvider,
  fails,
  hangs,
  streams,
  throws,
  usageOf,
} from "../../support/fake-provider.ts";
import {
  CollectingCompletionSink,
  createHarness,
  DEEPSEEK,
  failureOf,
  type Harness,
  type HarnessOptions,
  HUGGINGFACE,
  inFakeTime,
  OPENAI,
  timed,
} from "../../support/gateway-harness.ts";
import { isDurableAfter, refuses } from "../../support/recording-ledger.ts";

const HEDGE_AFTER_MS = 300;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const hedged = (options: HarnessOptions = {}): Harness =>
  createHarness({ chain: [OPENAI, DEEPSEEK], policy: { hedgeAfterMs: HEDGE_AFTER_MS }, ...options });

const ended = (attempts: readonly AttemptReport[]) =>
  attempts.map(({ ordinal, provider, outcome, errorReason }) => [ordinal, provider, outcome, errorReason]);

/** Every call that was sent is settled once, on the answer, and durable before it. */
function expectSettled(harness: Harness, attempts: readonly AttemptReport[]): void {
  const calls = [harness.openai, harness.deepseek, harness.huggingface].flatMap((provider) => provider.calls);
  expect(harness.ledger.settled).toHaveLength(calls.length);
  expect(attempts.map(({ attemptId }) => attemptId).sort()).toEqual(
    harness.ledger.opened.map(({ attemptId }) => attemptId).sort(),
  );
  expect(harness.timeline.filter((event) => event.startsWith("settled "))).toHaveLength(calls.length);
  expect(harness.ledger.onlyRequest.attempts).toBe(calls.length);
}

describe("a candidate that takes too long", () => {
  it("is joined by the next one, which answers, and is cancelled in that instant", async () => {
    const harness = hedged();
    harness.openai.plays(hangs());
    harness.deepseek.plays(answers({ afterMs: 200, usage: usageOf(10, 5) }));
    const startedAtMs = performance.now();
    const { value, elapsedMs } = await timed(harness.complete());
    expect(value.provider).toBe("deepseek");
    expect(elapsedMs).toBe(HEDGE_AFTER_MS + 200);
    expect(harness.deepseek.calls[0]?.atMs).toBe(startedAtMs + HEDGE_AFTER_MS);
    expect(harness.openai.calls[0]?.abortedAtMs).toBe(startedAtMs + HEDGE_AFTER_MS + 200);
    expect(ended(value.attempts)).toEqual([
      [1, "openai", "cancelled", "CANCELLED"],
      [2, "deepseek", "succeeded", undefined],
    ]);
    expectSettled(harness, value.attempts);
    // The answer's first.
    const [won, lost] = harness.ledger.settled;
    expect(lost?.flags).toContain("HEDGE_LOST");
    expect(lost?.usage?.tokensIn).toBeGreaterThan(0);
    expect(won?.flags).toEqual([]);
    expect(totalAttempts(value.attempts).costPicoUsd).toBe(
      (lost?.costPicoUsd ?? 0n) + (won?.costPicoUsd ?? 0n),
    );
    expect(harness.ledger.onlyRequest).toMatchObject({ provider: "deepseek", fellBack: true, status: "ok" });
    expect(harness.telemetry.fallbacks).toEqual([]);
    expect(harness.telemetry.hedges).toEqual([
      { fromProvider: "openai", toProvider: "deepseek", won: true, overlapMs: 200 },
    ]);
  });

  it("may still be the faster one: then the next one is cancelled and nothing fell back", async () => {
    const harness = hedged();
    harness.openai.plays(answers({ afterMs: 400 }));
    harness.deepseek.plays(hangs());
    const { value, elapsedMs } = await timed(harness.complete());
    expect(elapsedMs).toBe(400);
    expect(ended(value.attempts)).toEqual([
      [2, "deepseek", "cancelled", "CANCELLED"],
      [1, "openai", "succeeded", undefined],
    ]);
    expect(harness.ledger.onlyRequest).toMatchObject({ provider: "openai", fellBack: false });
    expect(harness.telemetry.hedges).toMatchObject([{ won: false, overlapMs: 100 }]);
    expectSettled(harness, value.attempts);
  });

  it("of a stream is judged by its first token, and only the winner is heard", async () => {
    const harness = hedged();
    const sink = new CollectingCompletionSink();
    harness.openai.plays(streams([{ afterMs: 350, texts: ["slow"] }, "er"]));
    harness.deepseek.plays(
      streams([
        { afterMs: 20, texts: ["fast"] },
        { afterMs: 5_000, texts: ["er"] },
      ]),
    );
    const result = await inFakeTime(harness.stream({}, sink));
    expect(sink.events).toEqual(["started deepseek/deepseek-flash", "fast", "er"]);
    expect(ended(result.attempts)).toEqual([
      [1, "openai", "cancelled", "CANCELLED"],
      [2, "deepseek", "succeeded", undefined],
    ]);
    expect(harness.telemetry.firstTokensMs).toEqual([20]);
    expectSettled(harness, result.attempts);
  });

  it("has not begun to answer with an event that has no content, which the caller gets all the same", async () => {
    const harness = hedged();
    const relayed: (string | undefined)[] = [];
    const sink: CompletionSink = {
      started: () => {},
      deltas(_deltas, native) {
        relayed.push(native);
        return undefined;
      },
    };
    const relays = (provider: FakeProvider, contentAfterMs: number) => {
      const stream = provider.stream.bind(provider);
      provider.stream = (call, push) => {
        void push([], `role of ${provider.name};`);
        provider.plays(streams([{ afterMs: contentAfterMs, texts: ["content"] }]));
        return stream(call, (deltas) => push(deltas, `content of ${provider.name};`));
      };
    };
    relays(harness.openai, 2_000);
    relays(harness.deepseek, 100);
    const { provider } = await inFakeTime(harness.stream({}, sink));
    expect(provider).toBe("deepseek");
    expect(relayed).toEqual(["role of deepseek;content of deepseek;"]);
  });

  it("is left alone once a first token came, however long the rest takes", async () => {
    const harness = hedged();
    harness.openai.plays(
      streams([
        { afterMs: 299, texts: ["a"] },
        { afterMs: 9_000, texts: ["b"] },
      ]),
    );
    const result = await inFakeTime(harness.stream());
    expect(result.provider).toBe("openai");
    expect(harness.deepseek.calls).toEqual([]);
    expect(harness.telemetry.hedges).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("that loses is on record before the answer, which waits for nothing else", async () => {
    const harness = hedged();
    harness.openai.plays(hangs());
    harness.ledger.does({ settle: isDurableAfter(70) });
    const { value, elapsedMs } = await timed(harness.complete());
    expect(elapsedMs).toBe(HEDGE_AFTER_MS + 70);
    expectSettled(harness, value.attempts);
  });

  it("that answers in the same instant as the winner is on record with the usage it stated", async () => {
    const harness = hedged();
    harness.openai.plays(answers({ usage: usageOf(70, 7) }));
    harness.deepseek.plays(answers({ usage: usageOf(80, 8) }));
    // Both answers are there when the first of them is looked at.
    const arrived = new Promise<void>((resolve) => setTimeout(resolve, 500));
    for (const provider of [harness.openai, harness.deepseek]) {
      const complete = provider.complete.bind(provider);
      provider.complete = async (call) => {
        const answer = await complete(call);
        await arrived;
        return answer;
      };
    }
    const { attempts } = await inFakeTime(harness.complete());
    expect(attempts.map(({ outcome, usageSource }) => [outcome, usageSource])).toEqual([
      ["cancelled", "reported"],
      ["succeeded", "reported"],
    ]);
    expect(attempts.reduce((sum, { usage }) => sum + (usage?.tokensIn ?? 0), 0)).toBe(150);
    expectSettled(harness, attempts);
  });

  it("and bills a cancelled call in full is read to its end, and corrected", async () => {
    const harness = hedged({ cancelledStreams: "drain" });
    harness.openai.plays(answers({ afterMs: 5_000, usage: usageOf(70, 7) }));
    const { value, elapsedMs } = await timed(harness.complete());
    expect(value.provider).toBe("deepseek");
    expect(elapsedMs).toBe(HEDGE_AFTER_MS);
    expect(harness.drains.active).toBe(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(harness.drains.active).toBe(0);
    expect(harness.ledger.corrected).toMatchObject([
      { outcome: "cancelled", errorReason: "CANCELLED", usageSource: "reported", usage: { tokensIn: 70 } },
    ]);
    expect(harness.ledger.corrected[0]?.flags).toContain("HEDGE_LOST");
  });

  it("is neither a success nor a failure to its breaker and its latency when it loses", async () => {
    const harness = hedged();
    for (let call = 0; call < 6; call += 1) {
      harness.openai.plays(hangs());
      await inFakeTime(harness.complete());
    }
    expect(harness.telemetry.breakerStates).toEqual([]);
    expect(harness.openai.calls).toHaveLength(6);
  });
});

describe("when one of the two fails", () => {
  it("the other goes on: the first one's failure is a fallback to the one that runs already", async () => {
    const harness = hedged();
    harness.openai.plays(fails("PROVIDER_TIMEOUT", { afterMs: 400, billing: "maybe_billed" }));
    harness.deepseek.plays(answers({ afterMs: 1_000 }));
    const { value, elapsedMs } = await timed(harness.complete());
    expect(elapsedMs).toBe(HEDGE_AFTER_MS + 1_000);
    expect(ended(value.attempts)).toEqual([
      [1, "openai", "failed", "PROVIDER_TIMEOUT"],
      [2, "deepseek", "succeeded", undefined],
    ]);
    expect(harness.telemetry.fallbacks).toMatchObject([{ fromProvider: "openai", toProvider: "deepseek" }]);
    expect(harness.deepseek.calls).toHaveLength(1);
  });

  it("the other goes on: the next one's failure changes nothing for the first", async () => {
    const harness = hedged();
    harness.openai.plays(answers({ afterMs: 2_000 }));
    harness.deepseek.plays(fails("PROVIDER_INVALID_REQUEST", { afterMs: 10 }));
    const { value, elapsedMs } = await timed(harness.complete());
    expect(value.provider).toBe("openai");
    expect(elapsedMs).toBe(2_000);
    expect(harness.telemetry.fallbacks).toEqual([]);
    expectSettled(harness, value.attempts);
  });

  it("for good, as a content filter does, the other is no way around it", async () => {
    const harness = hedged();
    harness.openai.plays(fails("CONTENT_FILTERED", { afterMs: 400 }));
    harness.deepseek.plays(answers({ afterMs: 5_000 }));
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe("CONTENT_FILTERED");
    expect(performance.now() - startedAtMs).toBe(400);
    expectSettled(harness, error.attempts);
  });

  it("for good, an answer of the other that comes all the same is not given, but is on record", async () => {
    const harness = hedged();
    harness.openai.plays(fails("CONTENT_FILTERED", { afterMs: 400 }));
    harness.deepseek.plays(answers({ usage: usageOf(70, 7) }));
    const complete = harness.deepseek.complete.bind(harness.deepseek);
    const arrived = new Promise<void>((resolve) => setTimeout(resolve, 450));
    // Its answer was read already when it was to be cancelled.
    harness.deepseek.complete = async (call) => {
      const answer = await complete(call);
      await arrived;
      return answer;
    };
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe("CONTENT_FILTERED");
    expect(error.attempts).toMatchObject([
      { provider: "openai", outcome: "failed" },
      { provider: "deepseek", outcome: "cancelled", usageSource: "reported", usage: { tokensIn: 70 } },
    ]);
    expectSettled(harness, error.attempts);
  });

  it.each([
    [400_000, undefined],
    [64_000, "CONTEXT_TOO_LONG"],
  ] as const)(
    "for an input that is too long, another window of %d tokens may end it: %s",
    async (window, reason) => {
      const contextWindows = { [candidateName(OPENAI)]: 128_000, [candidateName(DEEPSEEK)]: window };
      const harness = hedged({ contextWindows });
      harness.openai.plays(fails("CONTEXT_TOO_LONG", { afterMs: 400 }));
      harness.deepseek.plays(answers({ afterMs: 5_000 }));
      const end = inFakeTime(harness.complete());
      if (reason) await expect(end).rejects.toMatchObject({ reason });
      else await expect(end).resolves.toMatchObject({ provider: "deepseek" });
      expect(harness.ledger.settled).toHaveLength(2);
    },
  );

  it("and the other as well, the chain goes on behind both", async () => {
    const harness = hedged({ chain: [OPENAI, DEEPSEEK, HUGGINGFACE] });
    harness.openai.plays(fails("PROVIDER_TIMEOUT", { afterMs: 400 }));
    harness.deepseek.plays(fails("PROVIDER_TIMEOUT", { afterMs: 50 }));
    const { provider, attempts } = await inFakeTime(harness.complete());
    expect(provider).toBe("huggingface");
    expect(attempts.map(({ ordinal }) => ordinal)).toEqual([1, 2, 3]);
    expect(harness.openai.calls).toHaveLength(1);
    expect(harness.telemetry.fallbacks.map(({ toProvider }) => toProvider)).toEqual([
      "deepseek",
      "huggingface",
    ]);
    expectSettled(harness, attempts);
  });

  it("with a defect, it is settled and the other goes on", async () => {
    const harness = hedged();
    harness.openai.plays(answers({ afterMs: 1_000 }));
    harness.deepseek.plays(throws(new TypeError("a defect")), throws(new TypeError("a defect")));
    const { value } = await timed(harness.complete());
    expect(value.provider).toBe("openai");
    expectSettled(harness, value.attempts);
  });

  it("to be put on record, it is not sent and the other goes on", async () => {
    const harness = hedged();
    harness.openai.plays(answers({ afterMs: 1_000 }));
    let opens = 0;
    harness.ledger.does({ open: () => (opens++ === 1 ? refuses() : Promise.resolve()) });
    const { value } = await timed(harness.complete());
    expect(value.provider).toBe("openai");
    expect(harness.deepseek.calls).toEqual([]);
  });
});

describe("nobody else is asked", () => {
  it("before the time, when the first one fails: that is a fallback", async () => {
    const harness = hedged();
    harness.openai.plays(fails("PROVIDER_TIMEOUT", { afterMs: 100 }));
    const { elapsedMs } = await timed(harness.complete());
    expect(elapsedMs).toBe(100);
    expect(harness.telemetry.hedges).toEqual([]);
    expect(harness.telemetry.fallbacks).toHaveLength(1);
  });

  it("without a route that says so", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(answers({ afterMs: 5_000 }));
    await inFakeTime(harness.complete());
    expect(harness.deepseek.calls).toEqual([]);
  });

  it("of a model that is no alias", async () => {
    const harness = hedged();
    harness.openai.plays(answers({ afterMs: 5_000 }));
    const model = `openai/${OPENAI.model}`;
    await inFakeTime(harness.complete({ model, fallbackModels: [`deepseek/${DEEPSEEK.model}`] }));
    expect(harness.deepseek.calls).toEqual([]);
  });

  it("while the ledger takes its time before the call", async () => {
    const harness = hedged();
    harness.ledger.does({ open: isDurableAfter(1_000) });
    await inFakeTime(harness.complete());
    expect(harness.deepseek.calls).toEqual([]);
  });

  it("that lately took longer than what is left of the deadline", async () => {
    const harness = hedged();
    const model = `deepseek/${DEEPSEEK.model}`;
    for (let call = 0; call < 10; call += 1) {
      harness.deepseek.plays(answers({ afterMs: 2_000 }));
      await inFakeTime(harness.complete({ model }));
    }
    harness.openai.plays(answers({ afterMs: 700 }));
    await inFakeTime(harness.complete({ deadlineMs: 2_200 }));
    expect(harness.deepseek.calls).toHaveLength(10);
    expect(harness.telemetry.hedges).toEqual([]);
  });

  it("whose breaker is open", async () => {
    const harness = hedged();
    harness.deepseek.plays(...Array.from({ length: 5 }, () => fails("PROVIDER_TIMEOUT")));
    for (let call = 0; call < 5; call += 1)
      await failureOf(harness.complete({ model: `deepseek/${DEEPSEEK.model}` }));
    harness.openai.plays(answers({ afterMs: 1_000 }));
    await inFakeTime(harness.complete());
    expect(harness.deepseek.calls).toHaveLength(5);
    expect(harness.telemetry.hedges).toEqual([]);
  });

  it("when the budget for retries is used up, from which every hedge spends, and for which none earns", async () => {
    const harness = hedged({ retryBudget: createRetryBudget({ ratio: 0.25, burst: 2 }) });
    const joined: number[] = [];
    for (let call = 1; call <= 12; call += 1) {
      const before = harness.deepseek.calls.length;
      harness.openai.plays(answers({ afterMs: 1_000 }));
      harness.deepseek.plays(hangs());
      await inFakeTime(harness.complete());
      if (harness.deepseek.calls.length > before) joined.push(call);
    }
    // Two were saved up, but for the first call's own share; then it is one in four.
    expect(joined).toEqual([1, 2, 5, 9]);
  });
});

describe("the end of a request", () => {
  it.each(["CANCELLED", "DEADLINE_EXCEEDED"] as const)("reaches both: %s", async (reason) => {
    const harness = hedged();
    harness.openai.plays(hangs());
    harness.deepseek.plays(hangs());
    const caller = new AbortController();
    setTimeout(() => caller.abort(new GatewayError(reason, "it is over")), 900);
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete({ signal: caller.signal, deadlineMs: 2_000 }));
    expect(error.reason).toBe(reason);
    for (const provider of [harness.openai, harness.deepseek])
      expect(provider.calls[0]?.abortedAtMs).toBe(startedAtMs + 900);
    expect(harness.ledger.settled.flatMap(({ flags }) => flags)).not.toContain("HEDGE_LOST");
    expectSettled(harness, error.attempts);
  });

  it("leaves no timer and no listener behind", async () => {
    const harness = hedged();
    harness.openai.plays(hangs());
    const caller = new AbortController();
    await inFakeTime(harness.complete({ signal: caller.signal }));
    expect(vi.getTimerCount()).toBe(0);
  });
});

it("is the same for embeddings", async () => {
  const harness = hedged();
  harness.openai.embeds().plays(hangs());
  harness.deepseek.embeds();
  const { provider, attempts } = await inFakeTime(harness.embed({ model: "chain" }));
  expect(provider).toBe("deepseek");
  expect(ended(attempts)).toEqual([
    [1, "openai", "cancelled", "CANCELLED"],
    [2, "deepseek", "succeeded", undefined],
  ]);
  expectSettled(harness, attempts);
});

it("claims a repeatable call with the first attempt only, and repeats what the winner said", async () => {
  const harness = hedged();
  harness.openai.plays(hangs());
  const first = await inFakeTime(harness.complete({ repeatable: true }));
  expect(harness.ledger.claims.map(({ ordinal }) => ordinal)).toEqual([1]);
  const again = await inFakeTime(harness.complete({ repeatable: true }));
  expect(again).toEqual({ ...first, native: undefined, replayed: true });
});
