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

export function createLatencyTracker(clock: Clock): LatencyTracker {
  const samples: { readonly atMs: number; readonly durationMs: number }[] = [];
  let next = 0;
  return {
    add(durationMs) {
      samples[next] = { atMs: clock.monotonicMs(), durationMs };
      next = (next + 1) % MAX_SAMPLES;
    },
    medianMs() {
      const oldestMs = clock.monotonicMs() - MAX_AGE_MS;
      const recent = samples.filter((sample) => sample.atMs >= oldestMs).map((sample) => sample.durationMs);
      if (recent.length < MIN_SAMPLES) return undefined;
      recent.sort((a, b) => a - b);
      return recent[Math.floor(recent.length / 2)];
    },
  };
}
