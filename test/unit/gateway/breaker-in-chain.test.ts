import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { answers, fails, hangs, type Step, streams } from "../../support/fake-provider.ts";
import {
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  failureOf,
  type Harness,
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

const times = (count: number, step: Step): Step[] => Array.from({ length: count }, () => step);

/** Five timeouts of a provider that is alone in its chain. */
async function openBreaker(harness: Harness): Promise<void> {
  harness.openai.plays(...times(5, fails("PROVIDER_TIMEOUT")));
  for (let request = 0; request < 5; request += 1)
    await failureOf(harness.complete({ model: "openai/gpt-5-mini" }));
}

describe("the breaker of a candidate", () => {
  it("refuses after five failures in a row, without a call and without an attempt", async () => {
    const harness = createHarness();
    await openBreaker(harness);
    expect(harness.telemetry.breakerStates).toEqual([{ ...OPENAI, state: "open" }]);
    const error = await failureOf(harness.complete({ model: "openai/gpt-5-mini" }));
    expect(error).toMatchObject({ reason: "PROVIDER_CIRCUIT_OPEN", attempts: [] });
    expect(harness.openai.calls).toHaveLength(5);
  });

  it("sends requests to the fallback while it is open", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    await openBreaker(harness);
    const result = await inFakeTime(harness.complete());
    expect(result).toMatchObject(DEEPSEEK);
    expect(result.attempts.map(({ provider, ordinal }) => [provider, ordinal])).toEqual([["deepseek", 1]]);
    expect(harness.telemetry.fallbacks).toEqual([
      { fromProvider: "openai", toProvider: "deepseek", reason: "PROVIDER_CIRCUIT_OPEN" },
    ]);
  });

  it("says less than what an earlier candidate really answered", async () => {
    const harness = createHarness({ chain: [DEEPSEEK, OPENAI] });
    await openBreaker(harness);
    harness.deepseek.plays(fails("PROVIDER_QUOTA_EXHAUSTED"));
    expect((await failureOf(harness.complete())).reason).toBe("PROVIDER_QUOTA_EXHAUSTED");
  });

  it("is per model: another model of the provider is still asked", async () => {
    const harness = createHarness();
    await openBreaker(harness);
    expect(await inFakeTime(harness.complete({ model: "openai/gpt-5-nano" }))).toMatchObject({
      provider: "openai",
    });
  });

  it("lets a probe through after five seconds, and closes when it succeeds", async () => {
    const harness = createHarness();
    await openBreaker(harness);
    await vi.advanceTimersByTimeAsync(5_000);
    await inFakeTime(harness.complete({ model: "openai/gpt-5-mini" }));
    expect(harness.telemetry.breakerStates.map(({ state }) => state)).toEqual([
      "open",
      "half_open",
      "closed",
    ]);
  });

  it("is not moved by what is the request's fault", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    for (const reason of [
      "PROVIDER_INVALID_REQUEST",
      "CONTENT_FILTERED",
      "PROVIDER_QUOTA_EXHAUSTED",
    ] as const) {
      for (let request = 0; request < 6; request += 1) {
        harness.openai.plays(fails(reason));
        await failureOf(harness.complete());
      }
    }
    expect(harness.telemetry.breakerStates).toEqual([]);
  });

  it("opened by a request's own failure ends its retries at once, with the failure and not the refusal", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(...times(4, fails("PROVIDER_TIMEOUT")));
    for (let request = 0; request < 4; request += 1)
      await failureOf(harness.complete({ model: "openai/gpt-5-mini" }));
    harness.openai.plays(fails("PROVIDER_OVERLOADED"));
    const { value, elapsedMs } = await timed(harness.complete());
    expect(value.provider).toBe("deepseek");
    expect(elapsedMs).toBe(0);
    expect(harness.telemetry.fallbacks.at(-1)?.reason).toBe("PROVIDER_OVERLOADED");
  });

  it("opened while a request waits to retry leaves it with the provider's own error", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(fails("PROVIDER_OVERLOADED"), ...times(5, fails("PROVIDER_TIMEOUT")));
    const waiting = harness.complete();
    waiting.catch(() => {});
    await vi.advanceTimersByTimeAsync(100);
    for (let request = 0; request < 4; request += 1) {
      const other = harness.complete();
      other.catch(() => {});
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(harness.telemetry.breakerStates.map(({ state }) => state)).toEqual(["open"]);
    expect((await failureOf(waiting)).reason).toBe("PROVIDER_OVERLOADED");
  });

  it("gives a probe back when the ledger refuses the attempt", async () => {
    const harness = createHarness();
    await openBreaker(harness);
    await vi.advanceTimersByTimeAsync(5_000);
    harness.ledger.does({ open: () => Promise.reject(new Error("no")) });
    await failureOf(harness.complete({ model: "openai/gpt-5-mini" }));
    harness.ledger.does({ open: () => Promise.resolve() });
    expect(await inFakeTime(harness.complete({ model: "openai/gpt-5-mini" }))).toMatchObject(OPENAI);
  });

  it("is not held half open for minutes by a probe that became a long stream", async () => {
    const harness = createHarness();
    await openBreaker(harness);
    await vi.advanceTimersByTimeAsync(5_000);
    harness.openai.plays(streams(times20()));
    const probe = harness.stream({ model: "openai/gpt-5-mini", deadlineMs: 300_000 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await failureOf(harness.complete({ model: "openai/gpt-5-mini" }))).reason).toBe(
      "PROVIDER_CIRCUIT_OPEN",
    );
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await inFakeTime(harness.complete({ model: "openai/gpt-5-mini" }))).toMatchObject(OPENAI);
    expect(await inFakeTime(probe)).toMatchObject(OPENAI);
  });
});

const times20 = () => Array.from({ length: 20 }, () => ({ afterMs: 10_000, texts: ["word "] }));

describe("a candidate whose recent median exceeds what is left", () => {
  async function makeSlow(harness: Harness): Promise<void> {
    for (let request = 0; request < 5; request += 1) {
      harness.openai.plays(answers({ afterMs: 8_000 }));
      await inFakeTime(harness.complete({ model: "openai/gpt-5-mini" }));
    }
  }

  it("is passed over while a fallback is left", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    await makeSlow(harness);
    const result = await inFakeTime(harness.complete({ deadlineMs: 7_000 }));
    expect(result.attempts.map(({ provider }) => provider)).toEqual(["deepseek"]);
    expect(harness.telemetry.fallbacks.at(-1)?.reason).toBe("PROVIDER_SKIPPED");
  });

  it("is asked all the same when it is the last one", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    await makeSlow(harness);
    expect(await inFakeTime(harness.complete({ deadlineMs: 7_000 }))).toMatchObject(OPENAI);
  });

  it("is asked when there is time enough, and again once the samples are old", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    await makeSlow(harness);
    expect(await inFakeTime(harness.complete({ deadlineMs: 17_000 }))).toMatchObject(OPENAI);
    await vi.advanceTimersByTimeAsync(61_000);
    expect(await inFakeTime(harness.complete({ deadlineMs: 7_000 }))).toMatchObject(OPENAI);
  });

  it("is judged by first tokens when the call is a stream, and by whole answers when it is not", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    for (let request = 0; request < 5; request += 1) {
      harness.openai.plays(
        streams([
          { afterMs: 100, texts: ["a"] },
          { afterMs: 8_000, texts: ["b"] },
        ]),
      );
      await inFakeTime(harness.stream({ model: "openai/gpt-5-mini" }));
    }
    expect(await inFakeTime(harness.stream({ deadlineMs: 7_000 }))).toMatchObject(OPENAI);
    expect(await inFakeTime(harness.complete({ deadlineMs: 7_000 }))).toMatchObject(OPENAI);
  });

  it("is not judged by its failures", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    for (let request = 0; request < 4; request += 1) {
      harness.openai.plays(hangs());
      await inFakeTime(harness.complete({ deadlineMs: 20_000 }));
    }
    expect(await inFakeTime(harness.complete({ deadlineMs: 3_000 }))).toMatchObject(OPENAI);
    expectLedgerLaws(harness, { requests: 5 });
  });
});
