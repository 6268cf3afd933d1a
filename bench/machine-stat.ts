import { readFileSync } from "node:fs";

/** Seconds that the cores were busy since the machine started, with whatever; undefined where there is no /proc. */
export interface MachineStat {
  readonly firstCoreBusySeconds: number;
  /** Mean of the others. */
  readonly otherCoresBusySeconds: number;
}

const TICKS_PER_SECOND = 100;

export function readMachineStat(): MachineStat {
  const cores = readCores();
  const [first = Number.NaN, ...others] = cores;
  return {
    firstCoreBusySeconds: first,
    otherCoresBusySeconds: others.reduce((sum, busy) => sum + busy, 0) / others.length,
  };
}

function readCores(): readonly number[] {
  try {
    return readFileSync("/proc/stat", "latin1")
      .split("\n")
      .filter((line) => /^cpu\d/.test(line))
      .map((line) => {
        const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = line
          .split(" ")
          .slice(1)
          .map(Number);
        return (user + nice + system + irq + softIrq) / TICKS_PER_SECOND;
      });
  } catch {
    return [];
  }
}
