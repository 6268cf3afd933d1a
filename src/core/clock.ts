/** Time, as something that tests can stand in for. */
export interface Clock {
  /** Wall clock, for records. */
  now(): Date;
  /** Milliseconds that never go backwards, for durations and deadlines. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
};
