import { readFileSync } from "node:fs";

/** The kernel counts CPU time in ticks of 1/100 s on every Linux that Node runs on. */
const MICROSECONDS_PER_TICK = 10_000;

/** What a process has used so far, all its threads together. Not a number where there is no /proc. */
export interface ProcessStat {
  readonly cpuMicroseconds: number;
  readonly rssBytes: number;
}

export function readProcessStat(pid: number): ProcessStat {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the program's name in brackets, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    const rss = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
    return { cpuMicroseconds: ticks * MICROSECONDS_PER_TICK, rssBytes: Number(rss?.[1]) * 1024 };
  } catch {
    return { cpuMicroseconds: Number.NaN, rssBytes: Number.NaN };
  }
}
