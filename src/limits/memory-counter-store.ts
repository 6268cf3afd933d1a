import type { Clock } from "../core/clock.ts";
import type { CounterStore, Reservation, Take } from "./counter-store.ts";

export interface MemoryCounterStoreOptions {
  readonly clock: Clock;
  readonly windowMs: number;
}

type Counts = Map<string, number>;

interface Window {
  readonly endsAtMs: number;
  readonly counts: Counts;
}

/**
 * Counters of one process. Windows are fixed and follow the monotonic clock, since a wall clock that is set forward
 * must not refill a limit: each window has counters of its own, dropped as a whole when it ends, so that memory is
 * bounded by the keys in use within one window. Two windows that meet can together let twice the limit through.
 */
export function createMemoryCounterStore({ clock, windowMs }: MemoryCounterStoreOptions): CounterStore {
  const held: Counts = new Map();
  let window: Window = { endsAtMs: 0, counts: new Map() };

  function currentWindow(): Window {
    const nowMs = clock.monotonicMs();
    if (nowMs >= window.endsAtMs)
      window = { endsAtMs: (Math.floor(nowMs / windowMs) + 1) * windowMs, counts: new Map() };
    return window;
  }

  /** Waits for nothing, so that no two reservations can be under way at once. */
  function reserve(takes: readonly Take[]): Reservation {
    const own = currentWindow();
    const countsOf = ({ kind }: Take): Counts => (kind === "held" ? held : own.counts);
    const leftMs = (): number => Math.ceil(own.endsAtMs - clock.monotonicMs());
    const used: number[] = [];
    for (const [refusedIndex, take] of takes.entries()) {
      const sum = (countsOf(take).get(take.counter) ?? 0) + take.amount;
      used.push(sum);
      if (sum > take.limit) {
        const retryAfterMs = take.kind === "held" ? undefined : leftMs();
        return { granted: false, refusedIndex, retryAfterMs };
      }
    }
    for (const take of takes) add(countsOf(take), take.counter, take.amount);
    return { granted: true, used, resetMs: Math.max(0, leftMs()), correct: createCorrection(takes, own) };
  }

  function createCorrection(takes: readonly Take[], own: Window) {
    const amounts = takes.map(({ amount }) => amount);
    return async (index: number, amount: number): Promise<void> => {
      const take = takes[index];
      if (!take) throw new RangeError(`there is no take ${index}`);
      const change = amount - (amounts[index] ?? 0);
      amounts[index] = amount;
      if (take.kind === "held") add(held, take.counter, change);
      // What is given back belongs to the window it was taken from; what was used beyond it, to now.
      else if (change !== 0) add(change < 0 ? own.counts : currentWindow().counts, take.counter, change);
    };
  }

  return { reserve: async (takes) => reserve(takes) };
}

/** A counter back at zero takes no memory. */
function add(counts: Counts, counter: string, amount: number): void {
  const count = (counts.get(counter) ?? 0) + amount;
  if (count > 0) counts.set(counter, count);
  else counts.delete(counter);
}
