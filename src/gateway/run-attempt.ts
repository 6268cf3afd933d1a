import type { Clock } from "../core/clock.ts";
import type { StreamDelta } from "../core/completion.ts";
import type { CompletionCall } from "../core/gateway.ts";
import { newId } from "../core/ids.ts";
import type { AttemptIntent, AttemptOutcome, Ledger } from "../core/ledger.ts";
import type { Candidate } from "../core/model-name.ts";
import type { PriceBook } from "../core/price.ts";
import type { CallTimeouts, Provider, ProviderCall } from "../core/provider.ts";
import { ProviderError, type ReceivedOutput } from "../core/provider-error.ts";
import type { UsageReport } from "../core/usage.ts";
import { beforeAbort } from "../resilience/before-abort.ts";
import { type AttemptResult, settleAttempt } from "./settle-attempt.ts";
import { createStreamCheckpoints } from "./stream-checkpoints.ts";

/** What a provider's answer and a stream's end have in common. */
export interface Answered {
  readonly usage: UsageReport;
  readonly providerRequestId: string | undefined;
  readonly responseModel: string | undefined;
  readonly outputBytes: number;
}

/** The provider's part of an attempt: the one difference between a unary call and a stream. */
export type Invoke<A extends Answered> = (
  provider: Provider,
  call: ProviderCall,
  listeners: {
    readonly onFirstToken: () => void;
    /** Told of each part of a stream as it arrives. */
    readonly onDeltas: (deltas: readonly StreamDelta[]) => void;
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
  readonly call: CompletionCall;
  readonly candidate: Candidate;
  readonly provider: Provider;
  readonly ordinal: number;
  readonly timeouts: CallTimeouts;
  readonly signal: AbortSignal;
  readonly streamed: boolean;
  readonly estimatedTokensIn: number;
  readonly invoke: Invoke<A>;
}

/**
 * One call to one provider: intent on the ledger, call, outcome on the ledger.
 * @throws GatewayError LEDGER_UNAVAILABLE before the provider was called; a provider's failure is returned, and so is
 * the end of the request while its intent was being written.
 */
export async function runAttempt<A extends Answered>(
  dependencies: { readonly ledger: Ledger; readonly prices: PriceBook; readonly clock: Clock },
  options: AttemptOptions<A>,
): Promise<AttemptEnd<A>> {
  const { ledger, prices, clock } = dependencies;
  const { call, candidate, provider, ordinal, streamed } = options;
  const intent = createIntent(options, prices, clock.now());
  const opened = ledger.open(intent);
  await beforeAbort(opened, options.signal);
  if (options.signal.aborted) return settleUncalled(ledger, { intent, opened, signal: options.signal });
  const telemetry = call.telemetry.attemptStarted({
    attemptId: intent.attemptId,
    ...candidate,
    ordinal,
    streamed,
  });

  const startedAtMs = clock.monotonicMs();
  let timeToFirstTokenMs: number | undefined;
  const onFirstToken = () => {
    timeToFirstTokenMs = clock.monotonicMs() - startedAtMs;
    telemetry.firstToken(timeToFirstTokenMs);
  };
  const onDeltas = createStreamCheckpoints(clock, (received) =>
    ledger.checkpoint(intent.attemptId, received),
  );
  const settle = (result: AttemptResult) => {
    const latencyMs = clock.monotonicMs() - startedAtMs;
    const outcome = settleAttempt({ intent, result, latencyMs, timeToFirstTokenMs });
    const durable = ledger.settle(outcome);
    // It is awaited before the answer; until then a rejection must not count as unhandled.
    durable.catch(() => {});
    telemetry.finished(outcome);
    return { outcome, durable };
  };

  const providerCall: ProviderCall = {
    model: candidate.model,
    input: call.input,
    native: call.native,
    timeouts: options.timeouts,
    signal: options.signal,
    traceHeaders: telemetry.traceHeaders,
  };
  let invoked: Awaited<ReturnType<Invoke<A>>>;
  try {
    invoked = await options.invoke(provider, providerCall, { onFirstToken, onDeltas });
  } catch (thrown) {
    const error = toProviderError(thrown);
    return { kind: "failed", error, ...settle({ kind: "failed", error }) };
  }
  const { answer, received } = invoked;
  return { kind: "answered", answer, ...settle({ kind: "answered", ...answer, received }) };
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
  const outcome = settleAttempt({ intent, result, latencyMs: 0, timeToFirstTokenMs: undefined });
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
  const { call, candidate, ordinal, streamed, estimatedTokensIn } = options;
  return {
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
  };
}

/** Adapters throw nothing else; a defect of one must still settle the attempt it happened in. */
function toProviderError(thrown: unknown): ProviderError {
  if (thrown instanceof ProviderError) return thrown;
  return new ProviderError("PROVIDER_ERROR", "the call to the provider failed", {
    billing: "maybe_billed",
    cause: thrown,
  });
}
