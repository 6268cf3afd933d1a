import type { Clock } from "../core/clock.ts";

const MAX_SAMPLES = 32;
const MIN_SAMPLES = 5;
/** Older samples say nothing about now; without this a skipped provider would stay skipped for ever. */
const MAX_AGE_MS = 60_000;

/** The recent median of how long a provider takes. */
export interface LatencyTracker {
  add(durationMs: number): void;
  /** Undefined while there are fewer than five samples of the last minute. */
  medianMs(): number | undefined;
}

/** Asked and told by every call, so it makes no objects. */
export function createLatencyTracker(clock: Clock): LatencyTracker {
  const durationsMs = new Float64Array(MAX_SAMPLES);
  const atMs = new Float64Array(MAX_SAMPLES).fill(Number.NEGATIVE_INFINITY);
  const sortedMs = new Float64Array(MAX_SAMPLES);
  let next = 0;

  /** Puts the recent durations in order, and returns how many there are. */
  function sortRecent(): number {
    const oldestMs = clock.monotonicMs() - MAX_AGE_MS;
    let count = 0;
    for (let index = 0; index < MAX_SAMPLES; index++) {
      if ((atMs[index] ?? 0) < oldestMs) continue;
      const durationMs = durationsMs[index] ?? 0;
      let place = count;
      for (; place > 0 && (sortedMs[place - 1] ?? 0) > durationMs; place--) {
        sortedMs[place] = sortedMs[place - 1] ?? 0;
      }
      sortedMs[place] = durationMs;
      count++;
    }
    return count;
  }

  return {
    add(durationMs) {
      atMs[next] = clock.monotonicMs();
      durationsMs[next] = durationMs;
      next = (next + 1) % MAX_SAMPLES;
    },
    medianMs() {
      const count = sortRecent();
      return count < MIN_SAMPLES ? undefined : sortedMs[Math.floor(count / 2)];
    },
  };
}
