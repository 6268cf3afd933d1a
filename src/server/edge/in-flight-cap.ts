/** How many calls the process works on at once, over all connections. */
export interface InFlightCap {
  /** Takes a place. False when all are taken; then nothing is to be given back. */
  tryEnter(): boolean;
  /** Gives a place back; once for each `tryEnter` that returned true. */
  leave(): void;
  /** Places taken now. */
  readonly current: number;
}

/** Places when configuration says nothing. */
export const DEFAULT_MAX_IN_FLIGHT = 1_000;

/** @throws RangeError when `max` is not a positive integer */
export function createInFlightCap({ max }: { readonly max: number }): InFlightCap {
  if (!Number.isInteger(max) || max < 1) throw new RangeError("max must be a positive integer");
  let current = 0;
  return {
    tryEnter() {
      if (current >= max) return false;
      current += 1;
      return true;
    },
    leave() {
      if (current === 0) throw new RangeError("left more often than entered");
      current -= 1;
    },
    get current() {
      return current;
    },
  };
}
