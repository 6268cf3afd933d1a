/** One thing to take from one counter. */
export interface Take {
  /** Names the counter, e.g. `k_…:requests_per_minute`. */
  readonly counter: string;
  /** `window`: taken until the window ends. `held`: taken until it is given back. */
  readonly kind: "window" | "held";
  readonly amount: number;
  /** What the counter may not exceed. */
  readonly limit: number;
}

export type Reservation =
  | {
      readonly granted: true;
      /** What each counter stands at, these takes included. */
      readonly used: readonly number[];
      /** Until the window ends. */
      readonly resetMs: number;
      /** Changes what was taken of `takes[index]` to `amount`, after the fact and without a check. */
      readonly correct: (index: number, amount: number) => Promise<void>;
    }
  | {
      readonly granted: false;
      /** Which of the takes did not fit. */
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
   * Takes everything or nothing, atomically: however many ask at once, no counter exceeds its limit by this.
   * What is over after a refusal is as if it had not been asked.
   */
  reserve(takes: readonly Take[]): Promise<Reservation>;
}
