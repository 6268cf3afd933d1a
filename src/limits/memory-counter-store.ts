import type { Clock } from "../core/clock.ts";
import type { CounterStore, LimitedCounter, Reservation } from "./counter-store.ts";

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

  const countsOf = ({ kind }: LimitedCounter, own: Window): Counts => (kind === "held" ? held : own.counts);

  /** Waits for nothing, so that no two reservations can be under way at once. */
  function reserve(counters: readonly LimitedCounter[], amounts: readonly number[]): Reservation {
    const own = currentWindow();
    const leftMs = (): number => Math.ceil(own.endsAtMs - clock.monotonicMs());
    const used: number[] = [];
    for (const counter of counters) {
      const index = used.length;
      const sum = (countsOf(counter, own).get(counter.name) ?? 0) + (amounts[index] ?? 0);
      if (sum > counter.limit) {
        const retryAfterMs = counter.kind === "held" ? undefined : leftMs();
        return { granted: false, refusedIndex: index, retryAfterMs };
      }
      used.push(sum);
    }
    counters.forEach((counter, index) => {
      set(countsOf(counter, own), counter.name, used[index] ?? 0);
    });
    return {
      granted: true,
      used,
      resetMs: Math.max(0, leftMs()),
      async correct(actualAmounts) {
        counters.forEach((counter, index) => {
          const change = (actualAmounts[index] ?? 0) - (amounts[index] ?? 0);
          if (change !== 0) correctOne(counter, change, own);
        });
      },
    };
  }

  function correctOne(counter: LimitedCounter, change: number, own: Window): void {
    // What is given back belongs to the window it was taken from; what was used beyond it, to now.
    const counts = countsOf(counter, change < 0 ? own : currentWindow());
    set(counts, counter.name, (counts.get(counter.name) ?? 0) + change);
  }

  return { reserve: async (counters, amounts) => reserve(counters, amounts) };
}

/** A counter back at zero takes no memory. */
function set(counts: Counts, name: string, count: number): void {
  if (count > 0) counts.set(name, count);
  else counts.delete(name);
}
