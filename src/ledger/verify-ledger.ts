import type { CostDimension, CostQuery } from "../core/ledger.ts";
import type {
  LedgerCheck,
  LedgerDifference,
  LedgerVerification,
  LedgerVerifier,
  VerifiedInterval,
} from "../core/ledger-check.ts";
import { AMOUNT_COLUMNS } from "./amounts.ts";
import { settleAsOf } from "./as-of.ts";
import { buildCostStatement } from "./cost-query-sql.ts";
import { withReadErrors } from "./cost-reader.ts";
import { createBindings, within } from "./filter-sql.ts";
import { checkJournal, type JournalView } from "./journal-check.ts";
import {
  type CheckedInterval,
  type Compared,
  END_OF_TIME,
  SQL_CHECKS,
  START_OF_TIME,
} from "./ledger-checks.ts";
import type { LedgerDatabase, SqlQuery, SqlValue } from "./ledger-database.ts";
import { ROLLUP_TABLES } from "./write-statement.ts";

export interface LedgerVerifierOptions {
  /** Undefined when there is no journal. */
  readonly journal?: JournalView | undefined;
  /** Awaited before: for what was acknowledged to reach the database. */
  readonly beforeRead?: () => Promise<void>;
}

/** Differences of each check that an answer lists. */
export const MAX_DIFFERENCES = 100;
const DAY_MS = 24 * 3_600_000;

type Counts = Readonly<Record<Compared, bigint>>;
/** One check's part of the answer. */
interface Checked {
  readonly check: LedgerCheck;
  readonly differences: readonly LedgerDifference[];
}

/**
 * Compares the journal with the records, the records with the sums and the reports, and the records with each other.
 * All of it on one state of the database, in sets: what is read into this process is what differs. The interval is
 * widened to whole days of UTC.
 */
export function createLedgerVerifier(
  database: LedgerDatabase,
  options: LedgerVerifierOptions = {},
): LedgerVerifier {
  const { journal, beforeRead = async () => {} } = options;
  return {
    verify: (asked, timeoutMs) =>
      withReadErrors(async () => {
        const interval = toDays(asked);
        await beforeRead();
        const asOf = await settleAsOf(database, undefined);
        // Before the snapshot: what is shipped later is not in it.
        const shippedUpTo = journal?.shippedUpTo;
        const checked = await database.snapshot(async (query) => {
          const counts = await countRows(query, interval);
          const results: Checked[] = journal ? [await checkAgainst(query, journal, shippedUpTo)] : [];
          for (const check of SQL_CHECKS) {
            const bindings = createBindings();
            const { name } = check;
            const sql = check.sql(interval, bindings);
            results.push(
              await runCheck(query, { name, sql, values: bindings.values, compared: counts[check.compared] }),
            );
          }
          for (const groupBy of GROUPINGS)
            results.push(await runCheck(query, compareReports(interval, groupBy, asOf)));
          return results;
        }, timeoutMs);
        return toVerification(interval, mergeByName(checked));
      }),
  };
}

function toVerification(interval: CheckedInterval, checked: readonly Checked[]): LedgerVerification {
  const checks = checked.map(({ check }) => check);
  return {
    ok: checks.every(({ differing }) => differing === 0n),
    checks,
    differences: checked.flatMap(({ differences }) => differences),
    ...interval,
  };
}

/** Whole days, because the sums are of whole hours and days. */
function toDays({ start, end }: VerifiedInterval): CheckedInterval {
  const floor = (date: Date): number => Math.floor(date.getTime() / DAY_MS) * DAY_MS;
  return {
    start: start ? new Date(Math.max(START_OF_TIME.getTime(), floor(start))) : START_OF_TIME,
    end: end ? new Date(Math.min(END_OF_TIME.getTime(), -floor(new Date(-end.getTime())))) : END_OF_TIME,
  };
}

async function countRows(query: SqlQuery, interval: CheckedInterval): Promise<Counts> {
  const bindings = createBindings();
  const inside = within("occurred_at", interval.start, interval.end, bindings);
  const sums = ROLLUP_TABLES.map(
    ({ table, period }) =>
      `(SELECT count(*) FROM ${table} WHERE ${within(period, interval.start, interval.end, bindings)})`,
  );
  const [row] = await query(
    `SELECT count(*)::text AS records, count(*) FILTER (WHERE kind = 'adjustment')::text AS corrections,
       (SELECT count(*) FROM request_log WHERE ${inside})::text AS requests,
       (${sums.join(" + ")})::text AS sums
     FROM cost_record WHERE ${inside}`,
    bindings.values,
  );
  const count = (name: string): bigint => BigInt(String(row?.[name]));
  return {
    records: count("records"),
    corrections: count("corrections"),
    requests: count("requests"),
    sums: count("sums"),
  };
}

async function runCheck(
  query: SqlQuery,
  check: {
    readonly name: string;
    readonly sql: string;
    readonly values: readonly SqlValue[];
    readonly compared: bigint;
  },
): Promise<Checked> {
  const rows = await query(
    `SELECT key, expected, found, noted,
       (count(*) FILTER (WHERE NOT noted) OVER ())::text AS differing, (count(*) FILTER (WHERE noted) OVER ())::text AS all_noted
     FROM (${check.sql}) AS difference ORDER BY noted, key LIMIT ${MAX_DIFFERENCES}`,
    check.values,
  );
  const count = (name: string): bigint => BigInt(String(rows[0]?.[name] ?? 0));
  const { name, compared } = check;
  return {
    check: { name, compared, differing: count("differing"), noted: count("all_noted") },
    differences: rows
      .filter((row) => row.noted === false)
      .map((row) => ({
        check: name,
        key: String(row.key),
        expected: String(row.expected),
        found: String(row.found),
      })),
  };
}

const GROUPINGS: readonly (readonly CostDimension[])[] = [[], ["api_key"], ["provider"], ["model"], ["day"]];

/** A report as callers get it, which rests on the sums, and the same report from the records alone. */
function compareReports(interval: CheckedInterval, groupBy: readonly CostDimension[], asOf: Date) {
  const bindings = createBindings();
  const query: CostQuery = {
    ...{ ...interval, groupBy, asOf: undefined, tagKey: undefined },
    ...{ apiKeyIds: [], providers: [], models: [], tags: {}, endUsers: [] },
  };
  const keys = ["whole", ...groupBy.map((_, index) => `key_${index}`)];
  const reportOf = (asked: CostQuery): string => {
    const { text, values } = buildCostStatement(asked, asOf, Number.MAX_SAFE_INTEGER);
    const placeholders = values.map((value) => bindings.bind(value));
    const renumbered = text.replace(/\$(\d+)/g, (_, place: string) => placeholders[Number(place) - 1] ?? "");
    return `SELECT '' AS whole, report.* FROM (${renumbered}) AS report`;
  };
  const of = (side: string, column: string): string => `coalesce(${side}.${column}::numeric, 0)`;
  const differs = (column: string): string => `${of("recorded", column)} <> ${of("reported", column)}`;
  const list = (side: string): string =>
    AMOUNT_COLUMNS.map(
      (column) => `CASE WHEN ${differs(column)} THEN '${column} ' || ${of(side, column)} END`,
    ).join(", ");
  const sql = `
SELECT concat_ws(' ', 'by', ${["''", ...groupBy.map((by) => `'${by}'`)].join(", ")}, ${keys.join(", ")}) AS key,
  concat_ws(', ', ${list("recorded")}) AS expected, concat_ws(', ', ${list("reported")}) AS found, false AS noted
FROM (${reportOf({ ...query, asOf })}) AS recorded FULL JOIN (${reportOf(query)}) AS reported USING (${keys.join(", ")})
WHERE ${AMOUNT_COLUMNS.map(differs).join(" OR ")}`;
  return { name: "reports_equal_records", sql, values: bindings.values, compared: 1n };
}

/** The parts of one check as one. */
function mergeByName(checked: readonly Checked[]): readonly Checked[] {
  const merged = new Map<string, Checked>();
  for (const part of checked) {
    const before = merged.get(part.check.name);
    const sum = (name: "compared" | "differing" | "noted"): bigint =>
      (before?.check[name] ?? 0n) + part.check[name];
    merged.set(part.check.name, {
      check: {
        name: part.check.name,
        compared: sum("compared"),
        differing: sum("differing"),
        noted: sum("noted"),
      },
      differences: [...(before?.differences ?? []), ...part.differences].slice(0, MAX_DIFFERENCES),
    });
  }
  return [...merged.values()];
}

async function checkAgainst(
  query: SqlQuery,
  journal: JournalView,
  shippedUpTo: number | undefined,
): Promise<Checked> {
  const name = "journal_in_records";
  let [compared, differing, noted] = [0n, 0n, 0n];
  const differences: LedgerDifference[] = [];
  for await (const page of checkJournal(query, journal, shippedUpTo)) {
    compared += BigInt(page.rows);
    for (const { noted: waits, ...difference } of page.differences) {
      if (waits) noted += 1n;
      else differing += 1n;
      if (!waits && differences.length < MAX_DIFFERENCES) differences.push({ check: name, ...difference });
    }
  }
  return { check: { name, compared, differing, noted }, differences };
}
