import type { ModelInput } from "../core/model-input.ts";
import { ProviderError } from "../core/provider-error.ts";
import type { CountedTokens, UsageEstimator } from "../pricing/usage-estimator.ts";
import { lostRace } from "./lost-race.ts";
import type { ReceivedText } from "./received-text.ts";
import { type AttemptResult, needsEstimate } from "./settle-attempt.ts";

/** An outcome is on the ledger within 250 ms of its signal; the rest is the journal's. */
export const MAX_COUNT_MS = 150;
/**
 * At its deadline the caller waits for the attempts' costs, and is answered without them 30 ms later
 * (`DEADLINE_GRACE_MS` in `server/`). It waits, too, when the answer is there and an attempt that lost is to be counted.
 */
const MAX_COUNT_WHILE_AWAITED_MS = 15;

/** Of an attempt that brought nothing only the input is counted, for a cost that stays unknown; a fallback may wait. */
const MAX_COUNT_BEFORE_FALLBACK_MS = 30;

/** How long the count of an attempt may take; `signal` is its request's. */
export function maxCountMs(result: AttemptResult, signal: AbortSignal): number {
  if (signal.aborted) {
    const { reason } = signal;
    const atDeadline = reason instanceof ProviderError && reason.reason === "DEADLINE_EXCEEDED";
    return atDeadline || lostRace(signal) ? MAX_COUNT_WHILE_AWAITED_MS : MAX_COUNT_MS;
  }
  const broughtNothing = result.kind === "failed" && result.error.received.deltas === 0;
  return broughtNothing ? MAX_COUNT_BEFORE_FALLBACK_MS : MAX_COUNT_MS;
}

/**
 * Counts the tokens of an attempt whose provider did not; resolves with undefined when that takes too long. Undefined
 * when there is nothing to count, as for most.
 */
export function countAttempt(
  estimator: UsageEstimator,
  attempt: {
    readonly input: ModelInput;
    readonly output: ReceivedText;
    readonly result: AttemptResult;
    readonly maxMs: number;
  },
): Promise<CountedTokens | undefined> | undefined {
  const { input, output, result, maxMs } = attempt;
  if (!needsEstimate(result)) return undefined;
  const { outputBytes } = result.kind === "answered" ? result.received : result.error.received;
  return estimator.estimate({ input, output: { text: output.text, outputBytes } }, maxMs);
}
