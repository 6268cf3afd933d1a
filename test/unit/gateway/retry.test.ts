import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createRetryBudget } from "../../../src/resilience/retry-budget.ts";
import { answers, fails, type Step } from "../../support/fake-provider.ts";
import {
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  failureOf,
  OPENAI,
  timed,
} from "../../support/gateway-harness.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const times = (count: number, step: Step): Step[] => Array.from({ length: count }, () => step);

describe("a retry on the same provider", () => {
  it("is made up to twice, with a backoff that doubles", async () => {
    const harness = createHarness({ chain: [OPENAI], jitter: 0.5 });
    harness.openai.plays(fails("PROVIDER_OVERLOADED"), fails("PROVIDER_ERROR"), answers());
    const { value, elapsedMs } = await timed(harness.complete());
    expect(value.attempts.map(({ ordinal, errorReason }) => [ordinal, errorReason])).toEqual([
      [1, "PROVIDER_OVERLOADED"],
      [2, "PROVIDER_ERROR"],
      [3, undefined],
    ]);
    expect(harness.telemetry.retries.map(({ delayMs }) => delayMs)).toEqual([250, 500]);
    expect(elapsedMs).toBe(750);
    expectLedgerLaws(harness);
  });

  it("is not made a third time: the provider's own error is the answer", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(...times(4, fails("PROVIDER_OVERLOADED")));
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe("PROVIDER_OVERLOADED");
    expect(error.attempts).toHaveLength(3);
    expectLedgerLaws(harness);
  });

  it("waits at least as long as the provider asks", async () => {
    const harness = createHarness({ chain: [OPENAI], jitter: 0 });
    harness.openai.plays(fails("PROVIDER_RATE_LIMITED", { retryAfterMs: 7_000 }), answers());
    const { elapsedMs } = await timed(harness.complete());
    expect(elapsedMs).toBe(7_000);
  });

  it("is not made when the provider asks for more than the longest backoff; the caller is told how long", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(fails("PROVIDER_RATE_LIMITED", { retryAfterMs: 10_001 }));
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete());
    expect(error).toMatchObject({ reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 10_001 });
    expect(error.attempts).toHaveLength(1);
    expect(performance.now()).toBe(startedAtMs);
  });

  it("never sleeps past the deadline: what cannot be waited for is answered at once", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(fails("PROVIDER_RATE_LIMITED", { retryAfterMs: 3_000, afterMs: 100 }));
    const startedAtMs = performance.now();
    const error = await failureOf(harness.complete({ deadlineMs: 3_000 }));
    expect(error.reason).toBe("PROVIDER_RATE_LIMITED");
    expect(performance.now() - startedAtMs).toBe(100);
  });

  it("gives way to the fallback when it would have to wait for more than a second", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(fails("PROVIDER_RATE_LIMITED", { retryAfterMs: 1_001 }));
    const { value, elapsedMs } = await timed(harness.complete());
    expect(value.provider).toBe("deepseek");
    expect(elapsedMs).toBe(0);
    expect(harness.telemetry.retries).toEqual([]);
  });

  it("comes before the fallback when the wait is short", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(fails("PROVIDER_RATE_LIMITED", { retryAfterMs: 1_000 }), answers());
    const { value, elapsedMs } = await timed(harness.complete());
    expect(value.provider).toBe("openai");
    expect(elapsedMs).toBe(1_000);
  });
});

describe("the retry budget of the process", () => {
  it("is shared by all requests: when it is spent, failures are answered without a retry", async () => {
    const harness = createHarness({
      chain: [OPENAI],
      retryBudget: createRetryBudget({ ratio: 0, burst: 3 }),
    });
    harness.openai.plays(...times(20, fails("PROVIDER_RATE_LIMITED")));
    const attempts: number[] = [];
    for (let request = 0; request < 4; request += 1) {
      attempts.push((await failureOf(harness.complete({ requestId: `request-${request}` }))).attempts.length);
    }
    expect(attempts).toEqual([3, 2, 1, 1]);
    expectLedgerLaws(harness, { requests: 4 });
  });

  it("is earned by the first attempt at a provider and not by its retries", async () => {
    const harness = createHarness({
      chain: [OPENAI],
      retryBudget: createRetryBudget({ ratio: 0.5, burst: 2 }),
    });
    harness.openai.plays(...times(20, fails("PROVIDER_RATE_LIMITED")));
    const attempts: number[] = [];
    for (let request = 0; request < 3; request += 1) {
      attempts.push((await failureOf(harness.complete())).attempts.length);
    }
    expect(attempts).toEqual([3, 1, 2]);
  });

  it("is not touched by a fallback", async () => {
    const harness = createHarness({
      chain: [OPENAI, DEEPSEEK],
      retryBudget: createRetryBudget({ ratio: 0, burst: 0 }),
    });
    harness.openai.plays(fails("PROVIDER_OVERLOADED"));
    const { value } = await timed(harness.complete());
    expect(value.attempts.map(({ provider }) => provider)).toEqual(["openai", "deepseek"]);
  });
});
