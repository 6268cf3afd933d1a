export interface BackoffOptions {
  /** Mean-free base of the first delay, in milliseconds. */
  readonly baseMs: number;
  /** No delay is longer. */
  readonly maxMs: number;
  /** Uniform in [0, 1); a stand-in for tests. */
  readonly random?: () => number;
}

/** The defaults: 500 ms doubling, at most 10 s. */
export const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 500, maxMs: 10_000 };

/**
 * Exponential backoff to the base 2 with full jitter: uniform in `[0, min(maxMs, baseMs × 2^(retry-1)))`, which
 * spreads retries better than jitter around a mean. A wait that the provider asked for is a floor: it is obeyed.
 *
 * @param retry 1 for the first retry
 * @param retryAfterMs what the provider asked for, if it did
 */
export function backoffDelayMs(
  retry: number,
  retryAfterMs: number | undefined,
  options: BackoffOptions,
): number {
  const ceilingMs = Math.min(options.maxMs, options.baseMs * 2 ** (retry - 1));
  const jitteredMs = (options.random ?? Math.random)() * ceilingMs;
  return Math.max(jitteredMs, retryAfterMs ?? 0);
}
