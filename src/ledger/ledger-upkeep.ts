import type { LedgerDatabase } from "./ledger-database.ts";

export interface LedgerUpkeepOptions {
  readonly database: Pick<LedgerDatabase, "query">;
  /** Whole months that records and requests are kept besides the current one; undefined keeps them for ever. At least 2. */
  readonly retentionMonths: number | undefined;
  /** Whether the database has taken everything that was acknowledged before this was asked; else nothing is dropped. */
  readonly caughtUp: () => Promise<boolean>;
  /** A month of records and requests was dropped; its sums are kept. */
  readonly onDropped: (month: DroppedMonth) => void;
  /** It is tried again in ten minutes. */
  readonly onError: (error: unknown) => void;
}

/** What the sums say of a month whose records and requests were dropped; amounts as decimal text. */
export interface DroppedMonth {
  /** `2026-01` */
  readonly month: string;
  readonly attempts: string;
  readonly requests: string;
  readonly costUsd: string;
}

/** The months of the ledger's tables, looked after while the process runs. */
export interface LedgerUpkeep {
  /** Resolves when the round that is running, or was the last to run, is over; a failed one too. */
  round(): Promise<void>;
  /** Ends after the statement that is running. */
  stop(): Promise<void>;
}

const INTERVAL_MS = 24 * 3_600_000;
const RETRY_MS = 10 * 60_000;

/**
 * At start and once a day: makes the months to come, and drops those that are older than the retention. Several
 * processes may do so; the database lets one after the other.
 */
export function startLedgerUpkeep(options: LedgerUpkeepOptions): LedgerUpkeep {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  async function run(): Promise<void> {
    let nextMs = INTERVAL_MS;
    try {
      await ensureMonthsAhead(options.database);
      if (options.retentionMonths !== undefined) await dropMonths(options.retentionMonths);
    } catch (error) {
      if (!stopped) options.onError(error);
      nextMs = RETRY_MS;
    }
    if (!stopped) timer = setTimeout(start, nextMs).unref();
  }

  /** One month, one transaction: each holds the tables for some milliseconds only. */
  async function dropMonths(keepMonths: number): Promise<void> {
    if (!(await options.caughtUp()))
      throw new Error("the journal holds records that the database has not taken");
    while (!stopped) {
      const dropped = await dropOldestMonth(options.database, keepMonths);
      if (!dropped) return;
      options.onDropped(dropped);
    }
  }

  let running = run();
  function start(): void {
    running = run();
  }

  return {
    round: () => running,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

/** This month and the next two, by the database's clock. */
async function ensureMonthsAhead(database: Pick<LedgerDatabase, "query">): Promise<void> {
  await database.query(
    "SELECT ensure_ledger_month(now() + make_interval(days => days)) FROM generate_series(0, 62, 31) AS ahead (days)",
  );
}

/** Undefined when there is none to drop. */
async function dropOldestMonth(
  database: Pick<LedgerDatabase, "query">,
  keepMonths: number,
): Promise<DroppedMonth | undefined> {
  const [row] = await database.query(
    `SELECT to_char(month AT TIME ZONE 'UTC', 'YYYY-MM') AS month, attempts::text AS attempts,
       requests::text AS requests, cost_usd::text AS cost_usd
     FROM drop_oldest_ledger_month($1::integer)`,
    [keepMonths],
  );
  return (
    row && {
      month: String(row.month),
      attempts: String(row.attempts),
      requests: String(row.requests),
      costUsd: String(row.cost_usd),
    }
  );
}
