import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CompletionError } from "../../../src/core/gateway.ts";
import type { ProviderErrorReason } from "../../../src/core/provider-error.ts";
import { answers, fails, hangs, type Step, streams, throws, usageOf } from "../../support/fake-provider.ts";
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
  });

type Scene = typeof scene extends (step: fc.Arbitrary<Step>) => fc.Arbitrary<infer S> ? S : never;

function setUp(options: Scene): { readonly harness: Harness; readonly signal: AbortSignal } {
  const harness = createHarness({ chain: options.chain, jitter: options.jitter });
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

  const calls = [harness.openai, harness.deepseek, harness.huggingface].flatMap((provider) => provider.calls);
  expect(attempts).toHaveLength(calls.length);
  expect(harness.ledger.settled).toHaveLength(calls.length);
  expect(attempts.map(({ ordinal }) => ordinal)).toEqual(attempts.map((_, index) => index + 1));
  expect(attempts.map(({ attemptId }) => attemptId)).toEqual(
    harness.ledger.opened.map(({ attemptId }) => attemptId),
  );
  expect(harness.telemetry.started).toHaveLength(calls.length);
  expect(harness.telemetry.ended).toEqual(harness.ledger.settled);
  for (const { call } of calls) {
    expect(call.timeouts.firstTokenMs).toBeLessThanOrEqual(options.deadlineMs + 1_000);
  }
  expectLedgerLaws(harness);
  expectConsistentEnd(harness, attempts, error);
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
      { numRuns: 300 },
    );
  });

  it("every streamed call is, and nobody takes over after the first delta", async () => {
    await fc.assert(
      fc.asyncProperty(scene(streamStep), async (options) => {
        const sink = new CollectingCompletionSink();
        await expectLaws(options, async (harness, signal) => {
          const started = () => sink.events.filter((event) => event.startsWith("started"));
          try {
            const result = await harness.stream({ deadlineMs: options.deadlineMs, signal }, sink);
            expect(started()).toEqual([`started ${result.provider}/${result.model}`]);
            return result.attempts;
          } catch (error) {
            const last = error instanceof CompletionError ? error.attempts.at(-1) : undefined;
            const expected = started().length === 0 ? [] : [`started ${last?.provider}/${last?.model}`];
            expect(started()).toEqual(expected);
            throw error;
          }
        });
      }),
      { numRuns: 300 },
    );
  });
});
