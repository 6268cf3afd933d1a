import type { LedgerDatabase } from "./ledger-database.ts";

/** Past this the set starts anew, which costs a statement for each month that is written next. */
const MAX_KNOWN_MONTHS = 1_000;

/** The months that records can be written to. */
export interface LedgerMonths {
  /**
   * Makes sure that the months (`2026-11`) exist; asks the database only about those that are not known to.
   * Returns those that retention has dropped, or that are older than one that it has.
   */
  ensure(months: ReadonlySet<string>): Promise<ReadonlySet<string>>;
  /** To be called when a month that was there is gone. */
  forget(): void;
}

export function createLedgerMonths(database: Pick<LedgerDatabase, "query">): LedgerMonths {
  const known = new Set<string>();
  return {
    async ensure(months) {
      const dropped = new Set<string>();
      for (const month of months) {
        if (known.has(month)) continue;
        const [row] = await database.query("SELECT ensure_ledger_month($1::timestamptz) AS kept", [
          `${month}-01T00:00:00Z`,
        ]);
        if (row?.kept === false) {
          dropped.add(month);
          continue;
        }
        if (known.size >= MAX_KNOWN_MONTHS) known.clear();
        known.add(month);
      }
      return dropped;
    },
    forget: () => known.clear(),
  };
}
