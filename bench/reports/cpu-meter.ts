import { readFileSync } from "node:fs";
import type { SqlQuery } from "../../src/ledger/ledger-database.ts";

/** CPU that this process and its sessions of the database have used so far: on a busy machine times alone say little. */
export type CpuMeter = () => Promise<CpuReading>;

export interface CpuReading {
  readonly nodeMs: number;
  /** NaN where there is no /proc. */
  readonly databaseMs: number;
}

export function createCpuMeter(query: SqlQuery): CpuMeter {
  // A session that ends takes its count along, so what it had is kept here.
  const lastMs = new Map<number, number>();
  let databaseMs = 0;
  return async () => {
    const sessions = await query(
      "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database()",
    );
    for (const session of sessions) {
      const pid = Number(session.pid);
      const nowMs = runningMs(pid);
      databaseMs += nowMs - (lastMs.get(pid) ?? 0);
      lastMs.set(pid, nowMs);
    }
    const { user, system } = process.cpuUsage();
    return { nodeMs: (user + system) / 1_000, databaseMs };
  };
}

/** The first figure is the time on a processor, in nanoseconds. */
function runningMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ")[0]) / 1e6;
  } catch {
    return Number.NaN;
  }
}
