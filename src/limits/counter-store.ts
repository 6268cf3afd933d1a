/** A counter that something is taken from. */
export interface LimitedCounter {
  /** E.g. `k_…:requests_per_minute`. */
  readonly name: string;
  /** `window`: taken until the window ends. `held`: taken until it is given back. */
  readonly kind: "window" | "held";
  /** What it may not exceed. */
  readonly limit: number;
}

export type Reservation =
  | {
      readonly granted: true;
      /** What each counter stands at, this reservation included. */
      readonly used: readonly number[];
      /** Until the window ends. */
      readonly resetMs: number;
      /** Changes what was taken of each counter to these amounts, after the fact and without a check. Called once. */
      readonly correct: (amounts: readonly number[]) => Promise<void>;
    }
  | {
      readonly granted: false;
      /** Of which counter there was not enough. */
      readonly refusedIndex: number;
      /** Until the window ends; undefined for a `held` counter, of which nobody knows. */
      readonly retryAfterMs: number | undefined;
    };

/**
 * Counters that limits are kept with: in memory for one process; a shared store can implement it for several (a
 * `held` take then needs a lease, so that a crashed process gives its places back).
 */
export interface CounterStore {
  /**
   * Takes an amount of each counter or nothing, atomically: however many ask at once, no counter exceeds its limit by
   * this. What is over after a refusal is as if it had not been asked.
   */
  reserve(counters: readonly LimitedCounter[], amounts: readonly number[]): Promise<Reservation>;
}
