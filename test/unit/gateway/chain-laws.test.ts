import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { totalAttempts } from "../../../src/core/attempt-totals.ts";
import { CompletionError } from "../../../src/core/gateway.ts";
import type { ProviderErrorReason } from "../../../src/core/provider-error.ts";
import {
  answers,
  fails,
  hangs,
  type SeenCall,
  type Step,
  streams,
  throws,
  usageOf,
} from "../../support/fake-provider.ts";
import {
  CollectingCompletionSink,
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  type Harness,
  HUGGINGFACE,
  inFakeTime,
  OPENAI,
} from "../../support/gateway-harness.ts";
import { isDurableAfter, refuses } from "../../support/recording-ledger.ts";

const GRACE_MS = 50;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const reason = fc.constantFrom<ProviderErrorReason>(
  ...(["PROVIDER_RATE_LIMITED", "PROVIDER_OVERLOADED", "PROVIDER_ERROR", "PROVIDER_UNREACHABLE"] as const),
  ...([
    "PROVIDER_BAD_RESPONSE",
    "PROVIDER_STREAM_CUT",
    "PROVIDER_TIMEOUT",
    "PROVIDER_AUTHENTICATION",
  ] as const),
  ...(["PROVIDER_QUOTA_EXHAUSTED", "PROVIDER_MODEL_NOT_FOUND", "PROVIDER_INVALID_REQUEST"] as const),
  ...(["CONTEXT_TOO_LONG", "CONTENT_FILTERED"] as const),
);
const afterMs = fc.integer({ min: 0, max: 4_000 });
const billing = fc.constantFrom("not_billed" as const, "maybe_billed" as const);

const failing: fc.Arbitrary<Step> = fc
  .record({ reason, afterMs, billing, retryAfterMs: fc.option(fc.nat(12_000), { nil: undefined }) })
  .map(({ reason: because, ...options }) => fails(because, options));
const broken: fc.Arbitrary<Step> = fc.constantFrom(hangs(), throws(new TypeError("a defect")));
const unaryStep = fc.oneof(
  { weight: 4, arbitrary: failing },
  { weight: 1, arbitrary: broken },
  {
    weight: 2,
    arbitrary: fc
      .tuple(afterMs, fc.nat(5_000), fc.nat(5_000))
      .map(([after, tokensIn, tokensOut]) =>
        answers({ afterMs: after, usage: usageOf(tokensIn, tokensOut) }),
      ),
  },
);
const streamStep = fc.oneof(
  { weight: 3, arbitrary: failing },
  { weight: 1, arbitrary: broken },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.array(
          afterMs.map((after) => ({ afterMs: after, texts: ["some words"] })),
          { maxLength: 3 },
        ),
        fc.option(reason),
      )
      .map(([batches, cut]) => streams(batches, cut === null ? undefined : { kind: "failed", reason: cut })),
  },
);

const CHAINS = [[OPENAI], [OPENAI, DEEPSEEK], [OPENAI, DEEPSEEK, HUGGINGFACE]] as const;

const scene = (step: fc.Arbitrary<Step>) =>
  fc.record({
    chain: fc.constantFrom(...CHAINS),
    steps: fc.array(fc.array(step, { maxLength: 4 }), { minLength: 3, maxLength: 3 }),
    deadlineMs: fc.integer({ min: 1, max: 12_000 }),
    abortAfterMs: fc.option(fc.nat(8_000), { nil: undefined }),
    jitter: fc.double({ min: 0, max: 0.999, noNaN: true }),
    settleMs: fc.nat(200),
    refuseOpensAfter: fc.option(fc.nat(4), { nil: undefined }),
    hedgeAfterMs: fc.option(fc.integer({ min: 10, max: 3_000 }), { nil: undefined }),
    recovery: fc.constantFrom("off" as const, "restart" as const),
  });

type Scene = typeof scene extends (step: fc.Arbitrary<Step>) => fc.Arbitrary<infer S> ? S : never;

function setUp(options: Scene): { readonly harness: Harness; readonly signal: AbortSignal } {
  const { hedgeAfterMs, recovery } = options;
  const policy = { hedgeAfterMs, recovery };
  const harness = createHarness({ chain: options.chain, jitter: options.jitter, policy });
  const [first = [], second = [], third = []] = options.steps;
  harness.openai.plays(...first);
  harness.deepseek.plays(...second);
  harness.huggingface.plays(...third);
  let opens = 0;
  harness.ledger.does({
    settle: isDurableAfter(options.settleMs),
    open: () => (opens++ === options.refuseOpensAfter ? refuses() : Promise.resolve()),
  });
  const caller = new AbortController();
  if (options.abortAfterMs !== undefined) setTimeout(() => caller.abort(), options.abortAfterMs);
  return { harness, signal: caller.signal };
}

const callsOf = ({ openai, deepseek, huggingface }: Harness) =>
  [openai, deepseek, huggingface].flatMap((provider) => provider.calls);

type Attempts = CompletionError["attempts"];

/** Plays the scene and checks what holds for every request. */
async function expectLaws(options: Scene, run: (harness: Harness, signal: AbortSignal) => Promise<Attempts>) {
  const { harness, signal } = setUp(options);
  const startedAtMs = performance.now();
  const { attempts, error } = await inFakeTime(
    run(harness, signal).then(
      (done) => ({ attempts: done, error: undefined }),
      (thrown: unknown) => {
        if (!(thrown instanceof CompletionError)) throw thrown;
        return { attempts: thrown.attempts, error: thrown };
      },
    ),
  );
  const endAtMs = Math.min(options.deadlineMs, options.abortAfterMs ?? Number.POSITIVE_INFINITY);
  expect(performance.now() - startedAtMs).toBeLessThanOrEqual(endAtMs + GRACE_MS);

  const calls = callsOf(harness);
  expect(attempts).toHaveLength(calls.length);
  expect(harness.ledger.settled).toHaveLength(calls.length);
  const begun = attempts.toSorted((a, b) => a.ordinal - b.ordinal);
  expect(begun.map(({ ordinal }) => ordinal)).toEqual(attempts.map((_, index) => index + 1));
  expect(begun.map(({ attemptId }) => attemptId)).toEqual(
    harness.ledger.opened.map(({ attemptId }) => attemptId),
  );
  expectAtOnce(calls, options.hedgeAfterMs === undefined ? 1 : 2);
  if (options.hedgeAfterMs === undefined) expect(attempts).toEqual(begun);
  const costs = harness.ledger.settled.map(({ costPicoUsd = 0n }) => costPicoUsd);
  expect(totalAttempts(attempts).costPicoUsd ?? 0n).toBe(costs.reduce((sum, cost) => sum + cost, 0n));
  expect(harness.telemetry.started).toHaveLength(calls.length);
  expect(harness.telemetry.ended).toEqual(harness.ledger.settled);
  for (const { call } of calls) {
    expect(call.timeouts.firstTokenMs).toBeLessThanOrEqual(options.deadlineMs + 1_000);
  }
  expectLedgerLaws(harness);
  expectConsistentEnd(harness, attempts, error);
}

/** At most so many calls are under way at once, and at most one of them is a candidate's. */
function expectAtOnce(calls: readonly SeenCall[], most: number): void {
  for (const { atMs } of calls) {
    const underWay = calls.filter(
      (call) => call.atMs <= atMs && atMs < (call.endedAtMs ?? Number.POSITIVE_INFINITY),
    );
    expect(underWay.length).toBeLessThanOrEqual(most);
  }
}

function expectConsistentEnd(harness: Harness, attempts: Attempts, error: CompletionError | undefined): void {
  const succeeded = attempts.filter(({ outcome }) => outcome === "succeeded");
  if (!error) {
    expect(succeeded).toEqual([attempts.at(-1)]);
    expect(harness.ledger.onlyRequest).toMatchObject({ status: "ok", errorReason: undefined });
    return;
  }
  if (succeeded.length > 0) {
    // It was answered, but not on record before the request ended.
    expect(["DEADLINE_EXCEEDED", "CANCELLED"]).toContain(error.reason);
    return;
  }
  expect(harness.ledger.onlyRequest).toMatchObject({
    status: error.reason === "CANCELLED" ? "cancelled" : "error",
    errorReason: error.reason,
  });
}

describe("whatever providers, caller and ledger do", () => {
  it("every unary call is on record exactly once, in time, and the answer agrees with the record", async () => {
    await fc.assert(
      fc.asyncProperty(scene(unaryStep), async (options) => {
        await expectLaws(options, async (harness, signal) => {
          const result = await harness.complete({ deadlineMs: options.deadlineMs, signal });
          expect(result.provider).toBe(result.attempts.at(-1)?.provider);
          return result.attempts;
        });
      }),
      { numRuns: 600 },
    );
  });

  it("every streamed call is, and nobody takes over after the first delta unless recovery is asked", async () => {
    await fc.assert(
      fc.asyncProperty(scene(streamStep), async (options) => {
        const sink = new TimingSink();
        await expectLaws(options, async (harness, signal) => {
          const end = await harness.stream({ deadlineMs: options.deadlineMs, signal }, sink).then(
            (result) => ({ attempts: result.attempts, result, error: undefined }),
            (error: unknown) => ({ attempts: attemptsOf(error), result: undefined, error }),
          );
          const begun = sink.events.filter((event) => /^(re)?started /.test(event));
          expect(begun.filter((event) => event.startsWith("started")).length).toBe(Math.min(1, begun.length));
          if (options.recovery === "off") expectNoneAfter(harness, sink.startedAtMs);
          const { provider, model } = end.result ?? end.attempts.at(-1) ?? {};
          if (end.result) expect(begun.at(-1)).toContain(`started ${provider}/${model}`);
          else if (options.recovery === "off" && begun.length > 0)
            expect(begun).toEqual([`started ${provider}/${model}`]);
          if (end.error) throw end.error;
          return end.attempts;
        });
      }),
      { numRuns: 600 },
    );
  });
});

class TimingSink extends CollectingCompletionSink {
  startedAtMs: number | undefined;

  override started(provider: string, model: string): void {
    this.startedAtMs = performance.now();
    super.started(provider, model);
  }
}

const attemptsOf = (error: unknown): Attempts => (error instanceof CompletionError ? error.attempts : []);

/** Neither a fallback nor a hedge begins once something was delivered. */
function expectNoneAfter(harness: Harness, startedAtMs = Number.POSITIVE_INFINITY): void {
  for (const { atMs } of callsOf(harness)) expect(atMs).toBeLessThanOrEqual(startedAtMs);
}
