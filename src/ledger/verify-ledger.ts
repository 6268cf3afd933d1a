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
import { type Compared, END_OF_TIME, SQL_CHECKS, START_OF_TIME } from "./ledger-checks.ts";
import type { LedgerDatabase, SqlQuery, SqlValue } from "./ledger-database.ts";
import { readDetailsFrom } from "./ledger-retention.ts";
import { divideReport, type Interval, type Segment } from "./report-segments.ts";
import { ROLLUPS } from "./rollups.ts";

export interface LedgerVerifierOptions {
  /** Undefined when there is no journal. */
  readonly journal?: JournalView | undefined;
  /** Awaited before: for what was acknowledged to reach the database. */
  readonly beforeRead?: () => Promise<unknown>;
}

/** Differences of each check that an answer lists. */
export const MAX_DIFFERENCES = 100;
/** Of each sort and hash table of a check: with PostgreSQL's 4 MB they would go through the disk. */
const WORK_MEMORY = "64MB";
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
 * widened to whole days of UTC, and begins with the first record that retention has kept.
 */
export function createLedgerVerifier(
  database: LedgerDatabase,
  options: LedgerVerifierOptions = {},
): LedgerVerifier {
  const { journal, beforeRead = async () => {} } = options;
  return {
    verify: (asked, timeoutMs) =>
      withReadErrors(async () => {
        await beforeRead();
        const asOf = await settleAsOf(database, undefined);
        // Before the snapshot: what is shipped later is not in it.
        const shippedUpTo = journal?.shippedUpTo;
        return await database.snapshot(async (query) => {
          await query(`SET LOCAL work_mem = '${WORK_MEMORY}'`);
          const interval = keptPart(toDays(asked), await readDetailsFrom(query));
          const counts = await countRows(query, interval);
          const results: Checked[] = journal ? [await checkAgainst(query, journal, shippedUpTo)] : [];
          for (const { name, sql, compared } of SQL_CHECKS) {
            const bindings = createBindings();
            const text = sql(interval, bindings);
            results.push(
              await runCheck(query, { name, sql: text, values: bindings.values, compared: counts[compared] }),
            );
          }
          results.push(await runCheck(query, compareReports(interval, asOf)));
          return toVerification(interval, results);
        }, timeoutMs);
      }),
  };
}

function toVerification(interval: Interval, checked: readonly Checked[]): LedgerVerification {
  const checks = checked.map(({ check }) => check);
  return {
    ok: checks.every(({ differing }) => differing === 0n),
    checks,
    differences: checked.flatMap(({ differences }) => differences),
    ...interval,
  };
}

/** Whole days, because the sums are of whole hours and days. */
function toDays({ start, end }: VerifiedInterval): Interval {
  const floor = (date: Date): number => Math.floor(date.getTime() / DAY_MS) * DAY_MS;
  return {
    start: start ? new Date(Math.max(START_OF_TIME.getTime(), floor(start))) : START_OF_TIME,
    end: end ? new Date(Math.min(END_OF_TIME.getTime(), -floor(new Date(-end.getTime())))) : END_OF_TIME,
  };
}

function keptPart({ start, end }: Interval, detailsFrom: Date | undefined): Interval {
  const keptStart = detailsFrom && detailsFrom > start ? detailsFrom : start;
  return { start: keptStart, end: end > keptStart ? end : keptStart };
}

async function countRows(query: SqlQuery, interval: Interval): Promise<Counts> {
  const bindings = createBindings();
  const inside = within("occurred_at", interval, bindings);
  const sums = ROLLUPS.map(
    ({ table, unit }) => `(SELECT count(*) FROM ${table} WHERE ${within(unit, interval, bindings)})`,
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
  const [first] = rows;
  const count = (name: string): bigint => (first ? BigInt(String(first[name])) : 0n);
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

/** The reports that are asked for, and the finest grouping, which holds the sums of all of them. */
const GROUPINGS: readonly (readonly CostDimension[])[] = [[], ["api_key"], ["provider"], ["model"], ["day"]];
const FINEST: readonly CostDimension[] = ["api_key", "provider", "model", "day"];

/**
 * Reports as callers get them, which rest on the stored sums, and the same from the records alone, which are read
 * once.
 */
function compareReports(interval: Interval, asOf: Date) {
  const bindings = createBindings();
  const fromRecords: readonly Segment[] = [{ source: "records", sign: 1, ...interval }];
  const reportBy = (groupBy: readonly CostDimension[], source?: "records"): string => {
    const query: CostQuery = {
      ...{ ...interval, groupBy, asOf: undefined, tagKey: undefined },
      ...{ apiKeyIds: [], providers: [], models: [], tags: {}, endUsers: [] },
    };
    const bounds = { asOf, limit: Number.MAX_SAFE_INTEGER };
    const divided = source === "records" ? [] : divideReport(query, asOf);
    const { text, values } = buildCostStatement(query, divided.length > 0 ? divided : fromRecords, bounds);
    const placeholders = values.map((value) => bindings.bind(value));
    return text.replace(/\$(\d+)/g, (_, place: string) => placeholders[Number(place) - 1] ?? "");
  };
  const of = (side: string, column: string): string => `coalesce(${side}.${column}::numeric, 0)`;
  const differs = (column: string): string => `${of("recorded", column)} <> ${of("reported", column)}`;
  const list = (side: string): string =>
    AMOUNT_COLUMNS.map(
      (column) => `CASE WHEN ${differs(column)} THEN '${column} ' || ${of(side, column)} END`,
    ).join(", ");
  const sums = AMOUNT_COLUMNS.map((column) => `sum(${column}::numeric) AS ${column}`).join(", ");
  const comparisons = GROUPINGS.map((groupBy) => {
    const keys = groupBy.map((by) => `key_${FINEST.indexOf(by)}`);
    const renamed = keys.map((key, index) => `key_${index} AS ${key}`);
    return `
SELECT concat_ws(' ', 'by', '${groupBy.join(" ") || "nothing"}'${keys.map((key) => `, ${key}`).join("")}) AS key,
  concat_ws(', ', ${list("recorded")}) AS expected, concat_ws(', ', ${list("reported")}) AS found, false AS noted
FROM (SELECT ${["'' AS whole", ...keys, sums].join(", ")} FROM recorded
  GROUP BY ${["whole", ...keys].join(", ")}) AS recorded
FULL JOIN (SELECT ${["'' AS whole", ...renamed, ...AMOUNT_COLUMNS].join(", ")}
  FROM (${reportBy(groupBy)}) AS report) AS reported
USING (${["whole", ...keys].join(", ")})
WHERE ${AMOUNT_COLUMNS.map(differs).join(" OR ")}`;
  });
  const sql = `WITH recorded AS MATERIALIZED (
${reportBy(FINEST, "records")}
)
${comparisons.join("\nUNION ALL\n")}`;
  const compared = BigInt(GROUPINGS.length);
  return { name: "reports_equal_records", sql, values: bindings.values, compared };
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
