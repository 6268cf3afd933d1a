import { RateLimiterMemory } from "rate-limiter-flexible";
import type { Clock } from "../core/clock.ts";
import type { CounterStore, Reservation, Take } from "./counter-store.ts";

export interface MemoryCounterStoreOptions {
  readonly clock: Clock;
  readonly windowMs: number;
}

interface Window {
  readonly endsAtMs: number;
  readonly counters: RateLimiterMemory;
}

/**
 * Counters of one process. Windows are fixed and follow the monotonic clock, since a wall clock that is set forward
 * must not refill a limit: each window has counters of its own, dropped as a whole when it ends, so that memory is
 * bounded by the keys in use within one window. Two windows that meet can together let twice the limit through.
 */
export function createMemoryCounterStore({ clock, windowMs }: MemoryCounterStoreOptions): CounterStore {
  const held = createHeldCounters();
  let window = openWindow(0);
  /** Reservations queue up behind this; none of them waits for anything but the ones before it. */
  let queue: Promise<unknown> = Promise.resolve();

  function currentWindow(): Window {
    const nowMs = clock.monotonicMs();
    if (nowMs >= window.endsAtMs) window = openWindow((Math.floor(nowMs / windowMs) + 1) * windowMs);
    return window;
  }

  async function reserve(takes: readonly Take[]): Promise<Reservation> {
    const own = currentWindow();
    const used: number[] = [];
    for (const [refusedIndex, take] of takes.entries()) {
      const before = take.kind === "held" ? held.used(take.counter) : await usedOf(own, take.counter);
      used.push(before + take.amount);
      if (before + take.amount > take.limit) {
        const retryAfterMs = take.kind === "held" ? undefined : Math.ceil(own.endsAtMs - clock.monotonicMs());
        return { granted: false, refusedIndex, retryAfterMs };
      }
    }
    for (const take of takes) {
      if (take.kind === "held") held.add(take.counter, take.amount);
      else await own.counters.penalty(take.counter, take.amount);
    }
    const resetMs = Math.max(0, Math.ceil(own.endsAtMs - clock.monotonicMs()));
    return { granted: true, used, resetMs, correct: createCorrection(takes, own) };
  }

  function createCorrection(takes: readonly Take[], own: Window) {
    const amounts = takes.map(({ amount }) => amount);
    return async (index: number, amount: number): Promise<void> => {
      const take = takes[index];
      if (!take) throw new RangeError(`there is no take ${index}`);
      const change = amount - (amounts[index] ?? 0);
      amounts[index] = amount;
      if (take.kind === "held") held.add(take.counter, change);
      // What is given back belongs to the window it was taken from; what was used beyond it, to now.
      else if (change < 0) await own.counters.reward(take.counter, -change);
      else if (change > 0) await currentWindow().counters.penalty(take.counter, change);
    };
  }

  return {
    reserve(takes) {
      const reservation = queue.then(() => reserve(takes));
      queue = reservation.catch(() => undefined);
      return reservation;
    },
  };
}

/** No duration: the limiter would expire its keys by the wall clock. Its points are not used, limits differ by key. */
function openWindow(endsAtMs: number): Window {
  return {
    endsAtMs,
    counters: new RateLimiterMemory({ keyPrefix: "", points: Number.MAX_SAFE_INTEGER, duration: 0 }),
  };
}

async function usedOf(window: Window, counter: string): Promise<number> {
  return (await window.counters.get(counter))?.consumedPoints ?? 0;
}

/** What is held now; a counter back at zero takes no memory. */
function createHeldCounters() {
  const counts = new Map<string, number>();
  return {
    used: (counter: string): number => counts.get(counter) ?? 0,
    add(counter: string, amount: number): void {
      const count = (counts.get(counter) ?? 0) + amount;
      if (count > 0) counts.set(counter, count);
      else counts.delete(counter);
    },
  };
}
