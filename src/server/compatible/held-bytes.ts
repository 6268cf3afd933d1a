/** Room that the held-back answers of a process share, in bytes. */
export interface HeldBytes {
  /** Takes some of it. False when there is not so much left; then nothing is to be given back. */
  tryTake(bytes: number): boolean;
  /** Gives back what `tryTake` returned true for. */
  giveBack(bytes: number): void;
  /** Taken now. */
  readonly current: number;
}

/** 64 of the longest that are held, or many more of usual answers. */
export const MAX_HELD_BYTES_OF_PROCESS: number = 256 * 1024 * 1024;

export function createHeldBytes({ max }: { readonly max: number }): HeldBytes {
  let current = 0;
  return {
    tryTake(bytes) {
      if (current + bytes > max) return false;
      current += bytes;
      return true;
    },
    giveBack(bytes) {
      if (bytes > current) throw new RangeError("more was given back than taken");
      current -= bytes;
    },
    get current() {
      return current;
    },
  };
}
