import type { ContextWindows } from "../core/context-windows.ts";
import { GatewayError } from "../core/errors.ts";
import type { AttemptReport, GatewayCall } from "../core/gateway.ts";
import type { CallMethod } from "../core/ledger.ts";
import type { ModelInput } from "../core/model-input.ts";
import type { Candidate } from "../core/model-name.ts";
import type { CancelledStreams, Provider } from "../core/provider.ts";
import { ProviderError } from "../core/provider-error.ts";
import type { Claim } from "../core/replay.ts";
import { type BackoffOptions, backoffDelayMs } from "../resilience/backoff.ts";
import type { BreakerPermit } from "../resilience/circuit-breaker.ts";
import type { RetryBudget } from "../resilience/retry-budget.ts";
import { sleep } from "../resilience/sleep.ts";
import { attemptTimeouts, type TimeoutPolicy } from "./attempt-timeouts.ts";
import type { CandidateHealth, CandidateHealthRegistry } from "./candidate-health.ts";
import { MAX_DRAIN_MS } from "./drains.ts";
import { withLargerContext } from "./larger-context.ts";
import { raceCandidates } from "./race-candidates.ts";
import type { RequestScope } from "./request-scope.ts";
import {
  type Answered,
  type AttemptDependencies,
  type AttemptEnd,
  type Invoke,
  runAttempt,
} from "./run-attempt.ts";

export interface ConfiguredProvider {
  readonly provider: Provider;
  readonly timeouts: TimeoutPolicy;
  readonly cancelledStreams: CancelledStreams;
}

export interface ChainDependencies extends AttemptDependencies {
  readonly providers: ReadonlyMap<string, ConfiguredProvider>;
  readonly health: CandidateHealthRegistry;
  readonly retryBudget: RetryBudget;
  readonly backoff: BackoffOptions;
  readonly contextWindows: ContextWindows;
}

export interface ChainOptions<A extends Answered> {
  readonly method: CallMethod;
  readonly call: GatewayCall;
  /** What the model reads, for estimates. */
  readonly input: ModelInput;
  readonly chain: readonly Candidate[];
  readonly scope: RequestScope;
  readonly streamed: boolean;
  readonly estimatedTokensIn: number;
  readonly invoke: Invoke<A>;
  /** Goes on the ledger with the first attempt. */
  readonly claim: Claim | undefined;
  /** Those that have ended, when the call may be repeated. */
  readonly earlierAttempts: () => readonly AttemptReport[] | undefined;
  /** Asked after a token reached the caller: then there is no retry, and only when it may start anew a fallback. */
  readonly mayRestart: (() => boolean) | undefined;
  /** After so long without an answer or a first token the next candidate is asked as well. Undefined: never. */
  readonly hedgeAfterMs: number | undefined;
  /** Asked before anything is delivered; false when another candidate was first. Undefined: there is no other. */
  readonly mayDeliver?: (() => boolean) | undefined;
  /** Told of every attempt as it ends, the one that answered last. */
  readonly onAttempt: (end: AttemptEnd<A>) => void;
}

/** Attempts per candidate: the first and two retries. */
const MAX_ATTEMPTS_PER_CANDIDATE = 3;

/** With a fallback at hand nobody waits longer than this for the same provider to recover. */
const MAX_BACKOFF_WITH_FALLBACK_MS = 1_000;

/** How it ended with one candidate, retries included. */
export type CandidateEnd<A extends Answered> = { readonly candidate: Candidate } & (
  | { readonly kind: "answered"; readonly answer: A }
  /** Another candidate may be tried. */
  | { readonly kind: "next"; readonly error: ProviderError }
  | { readonly kind: "final"; readonly error: ProviderError }
);

/**
 * Tries the candidates in order, within the one deadline.
 * @throws ProviderError of the last candidate that was called, or of the deadline or the caller;
 * GatewayError LEDGER_UNAVAILABLE when an attempt could not be put on record, before it cost anything.
 */
export async function runChain<A extends Answered>(
  dependencies: ChainDependencies,
  options: ChainOptions<A>,
): Promise<{ readonly answer: A; readonly candidate: Candidate }> {
  const { call, scope, hedgeAfterMs } = options;
  const ordinals: Ordinals = { last: 0 };
  let lastError: ProviderError | undefined;
  let [candidate, ...rest] = options.chain;
  while (candidate) {
    const turn: Turn = { candidate, fallbackLeft: rest.length > 0, ordinals, isHedge: false };
    const [hedge] = rest;
    const ends: readonly CandidateEnd<A>[] =
      hedge && hedgeAfterMs !== undefined
        ? await tryTwo(dependencies, options, {
            ...{ turn, hedgeAfterMs },
            hedgeTurn: { candidate: hedge, fallbackLeft: rest.length > 1, ordinals, isHedge: true },
          })
        : [await tryCandidate(dependencies, options, turn)];
    for (const end of ends) {
      if (end.kind === "answered") return end;
      // A refusal by the breaker says less than what an earlier candidate really answered.
      if (!lastError || !isSkip(end.error)) lastError = end.error;
      rest = leftAfter(end, rest, dependencies.contextWindows);
      const [following] = rest;
      if (!following) break;
      if (following.provider === end.candidate.provider) continue;
      call.telemetry.fellBack({
        fromProvider: end.candidate.provider,
        toProvider: following.provider,
        reason: end.error.reason,
      });
    }
    [candidate, ...rest] = rest;
  }
  throw scope.endedBy() ?? lastError ?? new GatewayError("INTERNAL", "the chain of candidates is empty");
}

/** Those of the candidates that are tried after one that ended so. */
function leftAfter(
  end: CandidateEnd<Answered>,
  candidates: readonly Candidate[],
  windows: ContextWindows,
): Candidate[] {
  if (end.kind !== "next") return [];
  const left = candidates.slice(candidates.indexOf(end.candidate) + 1);
  return end.error.reason === "CONTEXT_TOO_LONG"
    ? [...withLargerContext(left, end.candidate, windows)]
    : left;
}

/** Tries a candidate and, if it takes too long, the next one beside it. */
function tryTwo<A extends Answered>(
  dependencies: ChainDependencies,
  options: ChainOptions<A>,
  { turn, hedgeTurn, hedgeAfterMs }: Record<"turn" | "hedgeTurn", Turn> & { readonly hedgeAfterMs: number },
): Promise<readonly CandidateEnd<A>[]> {
  const [primary, hedge] = [turn.candidate, hedgeTurn.candidate];
  return raceCandidates(options, {
    ...{ clock: dependencies.clock, primary, hedge, hedgeAfterMs },
    mayHedge: () => mayHedge(dependencies, options, hedgeTurn),
    isFollowed: (end) => leftAfter(end, [hedge], dependencies.contextWindows).length > 0,
    ask: (candidate, lane) => tryCandidate(dependencies, lane, candidate === primary ? turn : hedgeTurn),
  });
}

/** Would asking this candidate, too, be of use, and is there room for it? If so, a retry of the budget is spent on it. */
function mayHedge<A extends Answered>(
  dependencies: ChainDependencies,
  options: ChainOptions<A>,
  turn: Turn,
): boolean {
  const { scope, method } = options;
  const health = dependencies.health.of(turn.candidate);
  if (scope.endedBy() || health.breaker.refuses || isTooSlow(dependencies, options, turn, health))
    return false;
  const expectedMs = health.latency[method].medianMs() ?? 0;
  if (expectedMs > scope.remainingMs() || !dependencies.retryBudget.spend()) return false;
  // For the count of the one that will lose.
  dependencies.estimator.warmUp();
  return true;
}

const isSkip = (error: ProviderError) =>
  error.reason === "PROVIDER_CIRCUIT_OPEN" || error.reason === "PROVIDER_SKIPPED";

/** The number of the attempts that were begun; an attempt's own number is its ordinal. */
interface Ordinals {
  last: number;
}

interface Turn {
  readonly candidate: Candidate;
  readonly fallbackLeft: boolean;
  readonly ordinals: Ordinals;
  /** It is asked beside another one. */
  readonly isHedge: boolean;
}

async function tryCandidate<A extends Answered>(
  dependencies: ChainDependencies,
  options: ChainOptions<A>,
  turn: Turn,
): Promise<CandidateEnd<A>> {
  const { scope } = options;
  const { candidate } = turn;
  const health = dependencies.health.of(candidate);
  if (isTooSlow(dependencies, options, turn, health))
    return { kind: "next", candidate, error: tooSlow(candidate) };

  let failure: ProviderError | undefined;
  for (let attempt = 1; ; attempt += 1) {
    const ended = scope.endedBy();
    if (ended) return { kind: "final", candidate, error: ended };
    const permit = health.breaker.tryAcquire();
    if (!permit) return { kind: "next", candidate, error: failure ?? circuitOpen(candidate) };
    if (attempt === 1 && !turn.isHedge) dependencies.retryBudget.earn();

    const end = await attemptWithPermit(dependencies, options, turn, { permit, health });
    if (end.kind === "answered") return { kind: "answered", candidate, answer: end.answer };
    const { error } = end;
    failure = error;
    if (scope.signal.aborted || !error.fallsBack) return { kind: "final", candidate, error };
    // Whoever broke off in the midst of an answer is not trusted with the same one again.
    if (hasDelivered(end)) return { kind: options.mayRestart?.() ? "next" : "final", candidate, error };
    // This failure may have been the one that opened the breaker: a retry would wait for nothing.
    if (health.breaker.state === "open") return { kind: "next", candidate, error };
    const delayMs = retryDelayMs(dependencies, { error, attempt, turn, scope });
    if (delayMs === undefined) return { kind: "next", candidate, error };
    options.call.telemetry.retryScheduled({ ...candidate, delayMs, reason: error.reason });
    await sleep(delayMs, scope.signal);
  }
}

const hasDelivered = ({ outcome }: AttemptEnd<Answered>) => outcome.timeToFirstTokenMs !== undefined;

/** With a fallback at hand: would this candidate probably run into its own limit, to be paid for nothing? */
function isTooSlow<A extends Answered>(
  { providers }: ChainDependencies,
  { scope, streamed, method }: ChainOptions<A>,
  { candidate, fallbackLeft }: Turn,
  health: CandidateHealth,
): boolean {
  const policy = providers.get(candidate.provider)?.timeouts;
  if (!fallbackLeft || !policy) return false;
  const medianMs = health.latency[method].medianMs();
  if (medianMs === undefined) return false;
  const { firstTokenMs } = attemptTimeouts({
    remainingMs: scope.remainingMs(),
    fallbackLeft,
    streamed,
    policy,
  });
  return medianMs > firstTokenMs;
}

async function attemptWithPermit<A extends Answered>(
  dependencies: ChainDependencies,
  options: ChainOptions<A>,
  turn: Turn,
  guard: { readonly permit: BreakerPermit; readonly health: CandidateHealth },
): Promise<AttemptEnd<A>> {
  const { method, call, scope, streamed } = options;
  const { permit, health } = guard;
  const { ordinals } = turn;
  let ordinal: number | undefined;
  let end: AttemptEnd<A>;
  try {
    const configured = dependencies.providers.get(turn.candidate.provider);
    if (!configured) throw new GatewayError("INTERNAL", `no provider named ${turn.candidate.provider}`);
    ordinal = ++ordinals.last;
    end = await runAttempt(dependencies, {
      method,
      call,
      input: options.input,
      candidate: turn.candidate,
      provider: configured.provider,
      ordinal,
      timeouts: attemptTimeouts({
        remainingMs: scope.remainingMs(),
        fallbackLeft: turn.fallbackLeft,
        streamed,
        recoverable: options.mayRestart?.(),
        policy: configured.timeouts,
        behindDeadlineMs: configured.cancelledStreams === "drain" ? MAX_DRAIN_MS : undefined,
      }),
      cancelledStreams: configured.cancelledStreams,
      signal: scope.signal,
      streamed,
      estimatedTokensIn: options.estimatedTokensIn,
      invoke: options.invoke,
      mayDeliver: options.mayDeliver,
      claim: options.claim,
      earlierAttempts: options.earlierAttempts(),
    });
  } catch (error) {
    permit.neutral();
    // It is not on record; one that runs beside it may go on, and count on without a gap.
    if (ordinals.last === ordinal) ordinals.last -= 1;
    throw error;
  }
  options.onAttempt(end);
  if (end.kind === "answered") {
    permit.succeeded();
    const { latencyMs, timeToFirstTokenMs } = end.outcome;
    const waitedMs = streamed ? timeToFirstTokenMs : latencyMs;
    if (waitedMs !== undefined) health.latency[method].add(waitedMs);
  } else if (end.error.countsForBreaker) permit.failed();
  else permit.neutral();
  return end;
}

/** How long to wait before the same provider is asked again; undefined means not to ask it again. */
function retryDelayMs(
  dependencies: ChainDependencies,
  options: {
    readonly error: ProviderError;
    readonly attempt: number;
    readonly turn: Turn;
    readonly scope: RequestScope;
  },
): number | undefined {
  const { error, attempt, turn, scope } = options;
  if (!error.retryableOnSameProvider || attempt >= MAX_ATTEMPTS_PER_CANDIDATE) return undefined;
  const delayMs = backoffDelayMs(attempt, error.retryAfterMs, dependencies.backoff);
  if (delayMs > dependencies.backoff.maxMs || delayMs >= scope.remainingMs()) return undefined;
  if (turn.fallbackLeft && delayMs > MAX_BACKOFF_WITH_FALLBACK_MS) return undefined;
  return dependencies.retryBudget.spend() ? delayMs : undefined;
}

function circuitOpen({ provider }: Candidate): ProviderError {
  return new ProviderError("PROVIDER_CIRCUIT_OPEN", `provider ${provider} failed too often lately`, {
    billing: "not_billed",
    metadata: { provider },
  });
}

function tooSlow({ provider }: Candidate): ProviderError {
  return new ProviderError(
    "PROVIDER_SKIPPED",
    `provider ${provider} is too slow for what is left of the deadline`,
    {
      billing: "not_billed",
      metadata: { provider },
    },
  );
}
