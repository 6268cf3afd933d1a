/** How long one thing took, each time that it was done. */
export interface Timings {
  /** The first time, when nothing of it was in a cache of ours. */
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Does it once and then `runs` times; the first one is told apart. */
export async function timeRuns(runs: number, work: () => Promise<unknown>): Promise<Timings> {
  const times: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const startedAtMs = performance.now();
    await work();
    times.push(performance.now() - startedAtMs);
  }
  const [firstMs = Number.NaN, ...later] = times;
  const sorted = later.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
  return { firstMs, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
