import type { Clock } from "../core/clock.ts";
import type { StreamDelta } from "../core/completion.ts";
import type { AttemptReport, GatewayCall } from "../core/gateway.ts";
import { newId } from "../core/ids.ts";
import type { AttemptIntent, AttemptOutcome, CallMethod, Ledger } from "../core/ledger.ts";
import type { ModelInput } from "../core/model-input.ts";
import type { Candidate } from "../core/model-name.ts";
import type { PicoUsd } from "../core/money.ts";
import type { PriceBook } from "../core/price.ts";
import type { CallTimeouts, CancelledStreams, Provider, ProviderCallFrame } from "../core/provider.ts";
import { ProviderError, type ReceivedOutput } from "../core/provider-error.ts";
import type { Claim } from "../core/replay.ts";
import type { AttemptTelemetry, DrainEnd } from "../core/telemetry.ts";
import type { UsageReport } from "../core/usage.ts";
import type { CountedTokens, UsageEstimator } from "../pricing/usage-estimator.ts";
import { beforeAbort } from "../resilience/before-abort.ts";
import { countAttempt, MAX_COUNT_MS, maxCountMs } from "./count-attempt.ts";
import type { Drains } from "./drains.ts";
import { lostRace, tooLate } from "./lost-race.ts";
import { ReceivedText } from "./received-text.ts";
import { type AttemptResult, settleAttempt } from "./settle-attempt.ts";
import { createStreamCheckpoints } from "./stream-checkpoints.ts";
import { createDrainedUpstream, createUpstream, type Upstream } from "./upstream.ts";

/** What a provider's answer and a stream's end have in common. */
export interface Answered {
  readonly usage: UsageReport;
  readonly providerCostPicoUsd?: PicoUsd | undefined;
  readonly chargesBeyondTokens?: boolean | undefined;
  readonly providerRequestId: string | undefined;
  readonly responseModel: string | undefined;
  readonly outputBytes: number;
}

/** The provider's part of an attempt: the one difference between the kinds of calls. */
export type Invoke<A extends Answered> = (
  provider: Provider,
  frame: ProviderCallFrame,
  listeners: {
    readonly onFirstToken: () => void;
    /** Told of each part of a stream as it arrives. */
    readonly onDeltas: (deltas: readonly StreamDelta[]) => void;
    /** Told of each text of a whole answer. */
    readonly onText: (text: string) => void;
    /** The request is over, and the call goes on for its usage only: nothing is to be delivered. */
    readonly isDetached: () => boolean;
    /**
     * Asked before the first content of a stream is delivered: false when another candidate was faster. Undefined: there
     * is no other.
     */
    readonly mayDeliver: (() => boolean) | undefined;
  },
) => Promise<{ readonly answer: A; readonly received: ReceivedOutput }>;

export type AttemptEnd<A extends Answered> = {
  readonly outcome: AttemptOutcome;
  /** Resolves when the outcome is durable. */
  readonly durable: Promise<void>;
} & (
  | { readonly kind: "answered"; readonly answer: A }
  | { readonly kind: "failed"; readonly error: ProviderError }
);

export interface AttemptOptions<A extends Answered> {
  readonly method: CallMethod;
  readonly call: GatewayCall;
  /** What the model reads, for estimates. */
  readonly input: ModelInput;
  readonly candidate: Candidate;
  readonly provider: Provider;
  readonly ordinal: number;
  readonly timeouts: CallTimeouts;
  readonly signal: AbortSignal;
  readonly streamed: boolean;
  readonly estimatedTokensIn: number;
  /** What the provider bills for a call that is given up. */
  readonly cancelledStreams: CancelledStreams;
  readonly invoke: Invoke<A>;
  /** False when another candidate was faster. Undefined: there is no other. */
  readonly mayDeliver: (() => boolean) | undefined;
  readonly claim: Claim | undefined;
  readonly earlierAttempts: readonly AttemptReport[] | undefined;
}

export interface AttemptDependencies {
  readonly ledger: Ledger;
  readonly prices: PriceBook;
  readonly clock: Clock;
  readonly estimator: UsageEstimator;
  readonly drains: Drains;
}

/** How the provider's part ended. */
type CallEnd<A extends Answered> =
  | { readonly kind: "answered"; readonly answer: A; readonly result: AttemptResult }
  | { readonly kind: "failed"; readonly error: ProviderError; readonly result: AttemptResult };

/** What it comes to, after a count of its tokens if that is needed. */
type ToOutcome = (result: AttemptResult, maxMs: number) => AttemptOutcome | Promise<AttemptOutcome>;

/**
 * One call to one provider: intent on the ledger, call, outcome on the ledger.
 * @throws GatewayError LEDGER_UNAVAILABLE before the provider was called; a provider's failure is returned, and so is
 * the end of the request while its intent was being written.
 */
export async function runAttempt<A extends Answered>(
  dependencies: AttemptDependencies,
  options: AttemptOptions<A>,
): Promise<AttemptEnd<A>> {
  const { ledger, prices, clock, estimator, drains } = dependencies;
  const { call, input, candidate, ordinal, streamed, signal, cancelledStreams } = options;
  const intent = createIntent(options, prices, clock.now());
  const opened = ledger.open(intent, ordinal === 1 ? options.claim : undefined);
  await beforeAbort(opened, signal);
  if (signal.aborted) return settleUncalled(ledger, { intent, opened, signal });
  if (streamed) estimator.warmUp();
  const telemetry = call.telemetry.attemptStarted({
    attemptId: intent.attemptId,
    ...candidate,
    ordinal,
    method: options.method,
  });

  const startedAtMs = clock.monotonicMs();
  let timeToFirstTokenMs: number | undefined;
  const onFirstToken = () => {
    timeToFirstTokenMs = clock.monotonicMs() - startedAtMs;
    telemetry.firstToken(timeToFirstTokenMs);
  };
  const output = new ReceivedText();
  const checkpoint = createStreamCheckpoints(clock, output, (received) =>
    ledger.checkpoint(intent.attemptId, received),
  );
  const toOutcome: ToOutcome = (result, maxMs) => {
    const latencyMs = clock.monotonicMs() - startedAtMs;
    const withTokens = (tokens?: CountedTokens) => {
      const wasGivenUp =
        upstream.detached || (result.kind === "failed" && result.error.reason === "CANCELLED");
      const lost = wasGivenUp && lostRace(signal);
      return settleAttempt({ intent, result, tokens, cancelledStreams, latencyMs, timeToFirstTokenMs, lost });
    };
    const counting = countAttempt(estimator, { input, output, result, maxMs });
    return counting ? counting.then(withTokens) : withTokens();
  };

  const upstream =
    cancelledStreams === "drain" ? createDrainedUpstream(signal, drains) : createUpstream(signal);
  const calling = callProvider(options, {
    upstream,
    traceHeaders: telemetry.traceHeaders,
    onFirstToken,
    checkpoint,
    output,
  });
  const over = upstream.whenDetached
    ? await Promise.race([calling, upstream.whenDetached.then(toDetached(output))])
    : await calling;
  // From here on the end of the request changes nothing for a call that is over.
  if (!upstream.detached) upstream.end();
  const { result, ...end } = over;
  const outcome = await toOutcome(result, maxCountMs(result, signal));
  const durable = ledger.settle(outcome);
  // It is awaited before the answer; until then a rejection must not count as unhandled.
  durable.catch(() => {});
  telemetry.finished(outcome, upstream.detached || upstream.foundNoRoom);
  const settled = { outcome, durable };
  if (upstream.foundNoRoom) telemetry.drained("no_room", settled.outcome);
  if (upstream.detached) void drain(dependencies, { calling, upstream, settled, toOutcome, telemetry });
  return { ...end, ...settled };
}

/** The caller has gone, the call goes on: what it came to so far. */
const toDetached =
  (output: ReceivedText) =>
  ({ reason, message }: ProviderError): CallEnd<never> => {
    const error = new ProviderError(reason, message, { billing: "maybe_billed", received: output.received });
    return { kind: "failed", error, result: { kind: "failed", error } };
  };

async function callProvider<A extends Answered>(
  options: AttemptOptions<A>,
  attempt: {
    readonly upstream: Upstream;
    readonly traceHeaders: Readonly<Record<string, string>>;
    readonly onFirstToken: () => void;
    readonly checkpoint: () => void;
    readonly output: ReceivedText;
  },
): Promise<CallEnd<A>> {
  const { upstream, traceHeaders, onFirstToken, checkpoint, output } = attempt;
  const frame: ProviderCallFrame = {
    model: options.candidate.model,
    timeouts: options.timeouts,
    signal: upstream.signal,
    onSent: upstream.onSent,
    traceHeaders,
  };
  try {
    const { answer, received } = await options.invoke(options.provider, frame, {
      onFirstToken,
      onDeltas(deltas) {
        output.addDeltas(deltas);
        if (upstream.detached) upstream.received(output.received.outputBytes);
        else checkpoint();
      },
      onText: (text) => output.add(text),
      isDetached: () => upstream.detached,
      mayDeliver: options.mayDeliver,
    });
    if (!upstream.detached && options.mayDeliver?.() === false) throw tooLate(answer, received);
    return { kind: "answered", answer, result: { kind: "answered", ...answer, received } };
  } catch (thrown) {
    const error = toProviderError(thrown, output.received);
    return { kind: "failed", error, result: { kind: "failed", error } };
  }
}

/** Waits for the end of a detached call; what it came to replaces the estimate that was settled at once. */
async function drain<A extends Answered>(
  { ledger, drains }: AttemptDependencies,
  detached: {
    readonly calling: Promise<CallEnd<A>>;
    readonly upstream: Upstream;
    readonly settled: { readonly outcome: AttemptOutcome; readonly durable: Promise<void> };
    readonly toOutcome: ToOutcome;
    readonly telemetry: AttemptTelemetry;
  },
): Promise<void> {
  const { calling, upstream, settled, toOutcome, telemetry } = detached;
  try {
    const { result } = await calling;
    const final = await toOutcome(result, MAX_COUNT_MS);
    await settled.durable;
    // For the caller it stays what it was: given up, and when.
    const { outcome, errorReason, latencyMs, timeToFirstTokenMs } = settled.outcome;
    const corrected = { ...final, outcome, errorReason, latencyMs, timeToFirstTokenMs };
    await ledger.correct(corrected);
    telemetry.drained(drainEnd(final, upstream), corrected);
  } catch (error) {
    drains.failed(error);
    telemetry.drained("failed", settled.outcome);
  } finally {
    upstream.end();
  }
}

function drainEnd({ usageSource }: AttemptOutcome, { signal }: Upstream): DrainEnd {
  if (usageSource === "none") return "not_billed";
  return usageSource === "estimated" && signal.aborted ? "closed" : usageSource;
}

/** The request ended before its intent was on the ledger: nothing is sent, and that is what gets settled. */
function settleUncalled(
  ledger: Ledger,
  attempt: {
    readonly intent: AttemptIntent;
    readonly opened: Promise<void>;
    readonly signal: AbortSignal;
  },
): AttemptEnd<never> {
  const { intent, opened, signal } = attempt;
  const { reason, message } = toProviderError(signal.reason);
  const error = new ProviderError(reason, message, { billing: "not_billed" });
  const result: AttemptResult = { kind: "failed", error };
  const lost = lostRace(signal);
  const outcome = settleAttempt({ intent, result, latencyMs: 0, timeToFirstTokenMs: undefined, lost });
  // An intent that is refused after all needs no outcome: then there is no record, and nothing was spent.
  const durable = opened.then(() => ledger.settle(outcome));
  durable.catch(() => {});
  return { kind: "failed", error, outcome, durable };
}

function createIntent<A extends Answered>(
  options: AttemptOptions<A>,
  prices: PriceBook,
  occurredAt: Date,
): AttemptIntent {
  const { method, call, candidate, ordinal, streamed, estimatedTokensIn, earlierAttempts } = options;
  return {
    method,
    attemptId: newId(),
    requestId: call.requestId,
    ordinal,
    apiKeyId: call.principal.apiKeyId,
    provider: candidate.provider,
    model: candidate.model,
    price: prices.find({ ...candidate, at: occurredAt }),
    tags: call.tags,
    endUser: call.endUser,
    streamed,
    occurredAt,
    estimatedTokensIn,
    earlierAttempts,
  };
}

/** Adapters throw nothing else; a defect of one must still settle the attempt it happened in. */
function toProviderError(thrown: unknown, received?: ReceivedOutput): ProviderError {
  if (thrown instanceof ProviderError) return thrown;
  return new ProviderError("PROVIDER_ERROR", "the call to the provider failed", {
    billing: "maybe_billed",
    received,
    cause: thrown,
  });
}
