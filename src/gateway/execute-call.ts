import { GatewayError } from "../core/errors.ts";
import { type AttemptReport, CompletionError, type ModelCall } from "../core/gateway.ts";
import type { RateLimiter } from "../core/keys.ts";
import type { AttemptOutcome, CallMethod, RequestLogEntry } from "../core/ledger.ts";
import { isEmbeddingInput } from "../core/model-input.ts";
import type { Candidate } from "../core/model-name.ts";
import type { Provider } from "../core/provider.ts";
import type { Ending } from "../core/replay.ts";
import { estimateTokensIn } from "../pricing/token-estimator.ts";
import { beforeAbort } from "../resilience/before-abort.ts";
import type { Router } from "../routing/router.ts";
import { admit } from "./admit.ts";
import { toAttemptReport } from "./attempt-report.ts";
import type { CallRecord } from "./repeatable-calls.ts";
import { createRequestScope, type RequestScope } from "./request-scope.ts";
import type { Answered, Invoke } from "./run-attempt.ts";
import { type ChainDependencies, runChain } from "./run-chain.ts";

export interface GatewayDependencies extends ChainDependencies {
  readonly router: Router;
  readonly limiter: RateLimiter;
}

/** One call, and what distinguishes its kind from the others. */
export interface Execution<A extends Answered> {
  readonly method: CallMethod;
  readonly call: ModelCall;
  readonly streamed: boolean;
  /** Which providers can be asked; the others are left out of the chain. */
  readonly suitable: Suitability;
  readonly invoke: Invoke<A>;
  /** Of a stream that may begin anew after it broke off: whether it still may. */
  readonly mayRestart?: (() => boolean) | undefined;
  /** Of a call that may be repeated. */
  readonly record: CallRecord<A> | undefined;
}

/** Whether a provider can do what is asked for, all of it. */
export interface Suitability {
  suits(provider: Provider): boolean;
  /** The first provider that suits is the only one that is asked. */
  readonly oneProvider: boolean;
  /** What to end with when that leaves nobody. */
  noneSuits(): GatewayError;
}

export interface Executed<A extends Answered> {
  readonly answer: A;
  readonly candidate: Candidate;
  readonly attempts: readonly AttemptReport[];
}

/**
 * An error that cost nothing, or that is the deadline's, waits no longer than this for the ledger. An error whose
 * attempts may have cost money waits as an answer does: until the deadline.
 */
const MAX_LEDGER_WAIT_ON_ERROR_MS = 25;

/** Route → admit → try the chain → wait until all of it is on the ledger. */
export async function executeCall<A extends Answered>(
  dependencies: GatewayDependencies,
  execution: Execution<A>,
): Promise<Executed<A>> {
  const { call, method } = execution;
  const { input } = call;
  const chain = suitable(dependencies, execution.suitable, dependencies.router.route(call, method));
  const estimatedTokensIn = estimateTokensIn(input);
  // The output is reserved as far as the caller bounded it; what was really used is booked on release.
  const reservedTokens = estimatedTokensIn + ((!isEmbeddingInput(input) && input.maxOutputTokens) || 0);
  const admission = await admit(dependencies.limiter, call, reservedTokens);
  const scope = createRequestScope({
    clock: dependencies.clock,
    deadlineAtMs: call.deadlineAtMs,
    callerSignal: call.signal,
  });
  const progress: Progress = {
    startedAtMs: dependencies.clock.monotonicMs(),
    occurredAt: dependencies.clock.now(),
    outcomes: [],
    writes: [],
  };
  try {
    return await tryChain(dependencies, execution, { chain, scope, estimatedTokensIn, progress });
  } finally {
    scope.dispose();
    admission.release(
      progress.outcomes.reduce((sum, { usage }) => sum + (usage ? usage.tokensIn + usage.tokensOut : 0), 0),
    );
  }
}

/** @throws GatewayError when no candidate is suitable */
function suitable(
  { providers }: GatewayDependencies,
  { suits, noneSuits, oneProvider }: Suitability,
  chain: readonly Candidate[],
): readonly Candidate[] {
  const suited = chain.filter((candidate) => {
    const configured = providers.get(candidate.provider);
    return configured && suits(configured.provider);
  });
  const [first] = suited;
  if (!first) throw noneSuits();
  return oneProvider ? suited.filter(({ provider }) => provider === first.provider) : suited;
}

/** What has happened to a request so far. */
interface Progress {
  readonly startedAtMs: number;
  readonly occurredAt: Date;
  readonly outcomes: AttemptOutcome[];
  /** Ledger writes; each resolves when it is durable. */
  readonly writes: Promise<void>[];
}

async function tryChain<A extends Answered>(
  dependencies: GatewayDependencies,
  execution: Execution<A>,
  admitted: {
    readonly chain: readonly Candidate[];
    readonly scope: RequestScope;
    readonly estimatedTokensIn: number;
    readonly progress: Progress;
  },
): Promise<Executed<A>> {
  const { scope, progress } = admitted;
  const { outcomes, writes } = progress;
  const finish = (end: Executed<A> | CompletionError) => {
    const error = end instanceof CompletionError ? end : undefined;
    const entry = toRequestLogEntry(dependencies, execution, { progress, error });
    const write = (ending?: Ending) => dependencies.ledger.finish(entry, ending);
    const onDurable = execution.call.telemetry.ledgerWriteStarted();
    writes.push(execution.record ? execution.record.conclude(end, write) : write());
    const all = Promise.all(writes);
    all.then(() => onDurable(), onDurable);
    return all;
  };
  let end: Executed<A>;
  try {
    const { answer, candidate } = await runChain(dependencies, {
      ...execution,
      ...admitted,
      mayRestart: execution.mayRestart,
      hedgeAfterMs: dependencies.router.policyOf(execution.call.model).hedgeAfterMs,
      input: execution.call.input,
      claim: execution.record?.claim,
      earlierAttempts: () => execution.record && outcomes.map(toAttemptReport),
      onAttempt: ({ outcome, durable }) => {
        outcomes.push(outcome);
        writes.push(durable);
      },
    });
    end = { answer, candidate, attempts: outcomes.map(toAttemptReport) };
  } catch (thrown) {
    const error = toCompletionError(GatewayError.from(thrown), outcomes);
    const writes = finish(error);
    const mayHaveCost = outcomes.some(({ billingState }) => billingState !== "not_billed");
    if (mayHaveCost) await beforeAbort(writes, scope.signal).catch(() => false);
    await settledWithin(writes, MAX_LEDGER_WAIT_ON_ERROR_MS);
    throw error;
  }
  try {
    if (!(await durableBefore(finish(end), scope.signal))) {
      throw scope.endedBy() ?? new GatewayError("LEDGER_UNAVAILABLE", "the outcome is not on record yet");
    }
  } catch (thrown) {
    throw toCompletionError(GatewayError.from(thrown), outcomes);
  }
  return end;
}

function toRequestLogEntry<A extends Answered>(
  { clock }: GatewayDependencies,
  { method, call }: Execution<A>,
  { progress, error }: { readonly progress: Progress; readonly error: GatewayError | undefined },
): RequestLogEntry {
  const { outcomes, occurredAt, startedAtMs } = progress;
  // Of two that ran at once the first need not be the first that ended.
  const first = outcomes.find(({ intent }) => intent.ordinal === 1)?.intent;
  const last = outcomes.at(-1)?.intent;
  return {
    requestId: call.requestId,
    apiKeyId: call.principal.apiKeyId,
    method,
    requestedModel: call.model,
    provider: last?.provider,
    model: last?.model,
    status: requestStatus(error),
    errorReason: error?.reason,
    attempts: outcomes.length,
    fellBack: last?.provider !== first?.provider,
    latencyMs: clock.monotonicMs() - startedAtMs,
    traceId: call.telemetry.traceId,
    tags: call.tags,
    endUser: call.endUser,
    occurredAt,
  };
}

function requestStatus(error: GatewayError | undefined): RequestLogEntry["status"] {
  if (!error) return "ok";
  return error.reason === "CANCELLED" ? "cancelled" : "error";
}

/** False when the signal aborts first. @throws GatewayError LEDGER_UNAVAILABLE when a write fails. */
async function durableBefore(writes: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return settledWithin(writes, MAX_LEDGER_WAIT_ON_ERROR_MS);
  try {
    return await beforeAbort(writes, signal);
  } catch (cause) {
    throw new GatewayError("LEDGER_UNAVAILABLE", "the outcome could not be put on record", { cause });
  }
}

/** True when the writes were done in time. */
async function settledWithin(writes: Promise<unknown>, maxWaitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, maxWaitMs, false);
  });
  const done = writes.then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([done, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function toCompletionError(error: GatewayError, outcomes: readonly AttemptOutcome[]): CompletionError {
  return new CompletionError(error.reason, error.message, {
    cause: error.cause ?? error,
    metadata: error.metadata,
    retryAfterMs: error.retryAfterMs,
    fieldViolations: error.fieldViolations,
    quotaViolations: error.quotaViolations,
    attempts: outcomes.map(toAttemptReport),
  });
}
