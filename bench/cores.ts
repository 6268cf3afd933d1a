import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** Which core the measured process has to itself, and which ones the rest shares. */
export interface Cores {
  /** Put before the command of a measured process. */
  readonly measuredPrefix: readonly string[];
  /** For the report. */
  readonly description: string;
}

/**
 * Moves this process, and so all that it starts, off core 0, which is left to the measured process.
 * Without `taskset` or a second core nothing is moved, and the figures are not those of one core.
 */
export function reserveCore(): Cores {
  const count = availableParallelism();
  const moved =
    count > 1 && spawnSync("taskset", ["-acp", `1-${count - 1}`, String(process.pid)]).status === 0;
  if (!moved) return { measuredPrefix: [], description: `${count} core(s), nothing pinned` };
  const others = count === 2 ? "core 1" : `cores 1-${count - 1}`;
  return {
    measuredPrefix: ["taskset", "-c", "0"],
    description: `${count} cores: the measured process alone on core 0; load generator, upstream and database on ${others}`,
  };
}
