import type { CpuMeter } from "./cpu-meter.ts";

/** How long one thing took, each time that it was done. */
export interface Timings {
  /** The first time, when nothing of it was in a cache of ours. */
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of one run, on average: the database's, and this process's. */
  readonly databaseCpuMs: number;
  readonly nodeCpuMs: number;
}

/** Does it once and then `runs` times; the first one is told apart. */
export async function timeRuns(
  runs: number,
  readCpu: CpuMeter,
  work: () => Promise<unknown>,
): Promise<Timings> {
  const firstMs = await timeOf(work);
  const before = await readCpu();
  const times: number[] = [];
  for (let run = 0; run < runs; run++) times.push(await timeOf(work));
  const after = await readCpu();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.ceil(share * times.length) - 1] ?? Number.NaN;
  return {
    firstMs,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    databaseCpuMs: (after.databaseMs - before.databaseMs) / runs,
    nodeCpuMs: (after.nodeMs - before.nodeMs) / runs,
  };
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now();
  await work();
  return performance.now() - startedAtMs;
}
