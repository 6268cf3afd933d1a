import { loadavg } from "node:os";
import { createHistogram } from "node:perf_hooks";
import type { LoopResult } from "./closed-loop.ts";
import { readMachineStat } from "./machine-stat.ts";
import { readProcessStat } from "./process-stat.ts";
import { monotonicMicroseconds } from "./profile-report.ts";

/** One line of the report. Not a number where the system does not tell. */
export interface Measurement {
  readonly scenario: string;
  readonly inFlight: number | undefined;
  readonly perSecond: number;
  readonly messagesPerCall: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the measured process, all its threads. */
  readonly cpuMicrosecondsPerCall: number;
  readonly rssMebibytes: number;
  /** Shares of a core's time: the measured process; everything else on its core; the mean of the other cores. */
  readonly ownCoreShare: number;
  readonly strangersShare: number;
  readonly otherCoresShare: number;
  readonly failed: number;
  /** Of one minute, at the end. */
  readonly loadAverage: number;
}

export function sampleOf(pid: number) {
  return {
    process: readProcessStat(pid),
    machine: readMachineStat(),
    atMicroseconds: monotonicMicroseconds(),
  };
}
export type Sample = ReturnType<typeof sampleOf>;

const BYTES_PER_MEBIBYTE = 1024 * 1024;

/** One line from one loop, or from several of the same kind, put together. */
export function toMeasurement(
  scenario: string,
  inFlight: number | undefined,
  results: readonly LoopResult<Sample>[],
): Measurement {
  const sum = (of: (result: LoopResult<Sample>) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  const seconds = sum((result) => result.seconds);
  const measured = sum((result) => result.measured);
  const cpuMicroseconds = sum(
    ({ before, after }) => after.process.cpuMicroseconds - before.process.cpuMicroseconds,
  );
  const firstCore = sum(
    ({ before, after }) => after.machine.firstCoreBusySeconds - before.machine.firstCoreBusySeconds,
  );
  const otherCores = sum(
    ({ before, after }) => after.machine.otherCoresBusySeconds - before.machine.otherCoresBusySeconds,
  );
  const latency = createHistogram();
  for (const result of results) latency.add(result.latency);
  const ownCoreShare = cpuMicroseconds / 1e6 / seconds;
  return {
    scenario,
    inFlight,
    perSecond: measured / seconds,
    messagesPerCall: sum((result) => result.measuredMessages) / measured,
    p50Ms: latency.percentile(50) / 1_000,
    p99Ms: latency.percentile(99) / 1_000,
    cpuMicrosecondsPerCall: cpuMicroseconds / measured,
    rssMebibytes: Math.max(...results.map(({ after }) => after.process.rssBytes)) / BYTES_PER_MEBIBYTE,
    ownCoreShare,
    strangersShare: Math.max(0, firstCore / seconds - ownCoreShare),
    otherCoresShare: otherCores / seconds,
    failed: sum(({ tally }) => tally.failed),
    loadAverage: loadavg()[0] ?? Number.NaN,
  };
}
