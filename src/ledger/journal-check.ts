import type { JournalRow, JournalTable } from "./journal-store.ts";
import type { SqlQuery } from "./ledger-database.ts";
import {
  ACCOUNTING_COLUMNS,
  COST_RECORD_COLUMNS,
  type Column,
  REQUEST_LOG_COLUMNS,
} from "./table-columns.ts";

/** The journal, as far as a check needs it. */
export interface JournalView {
  /** The database was given every row up to this sequence; undefined when nobody knows. */
  readonly shippedUpTo: number | undefined;
  /** Rows after a sequence, in order. */
  read(afterSequence: number, limit: number): Promise<readonly JournalRow[]>;
}

/** A row of the journal that the database does not have as it stands there. */
export interface JournalDifference {
  readonly key: string;
  readonly expected: string;
  readonly found: string;
  /** It waits to be shipped, which is no difference. */
  readonly noted: boolean;
}

const PAGE_ROWS = 500;

/**
 * Compares every row that the journal still holds with the database: journal ⊆ records. A row that was not shipped yet
 * may be missing; one that is there must be the same.
 */
export async function* checkJournal(
  query: SqlQuery,
  journal: JournalView,
  shippedUpTo: number | undefined,
): AsyncGenerator<{ readonly rows: number; readonly differences: readonly JournalDifference[] }> {
  let after = 0;
  for (;;) {
    const rows = await journal.read(after, PAGE_ROWS);
    const last = rows.at(-1);
    if (!last) return;
    after = last.sequence;
    const found = await Promise.all([
      compare(query, rows, "cost_record", RECORD_COMPARISON),
      compare(query, rows, "request_log", REQUEST_COMPARISON),
      compare(query, rows, "late_outcome", LATE_OUTCOME_COMPARISON),
    ]);
    const differences = found.flat().map(({ sequence, ...difference }) => {
      const waits = sequence > (shippedUpTo ?? 0) && difference.found === MISSING;
      return { ...difference, noted: waits };
    });
    yield { rows: rows.length, differences };
    if (rows.length < PAGE_ROWS) return;
  }
}

const MISSING = "no row";

async function compare(
  query: SqlQuery,
  rows: readonly JournalRow[],
  table: JournalTable,
  comparison: string,
) {
  const asked = rows.filter((row) => row.table === table);
  if (asked.length === 0) return [];
  const differing = await query(comparison, [`[${asked.map(({ json }) => json).join(",")}]`]);
  return differing.map((row) => {
    const columns = typeof row.columns === "string" ? row.columns : "";
    return {
      sequence: asked[Number(row.place) - 1]?.sequence ?? 0,
      key: String(row.key),
      expected: columns === "" ? "the journal's row" : `the journal's row in ${columns}`,
      found: columns === "" ? MISSING : "another content",
    };
  });
}

const typed = (columns: readonly Column[]): string =>
  columns.map(({ name, type }) => `${name} ${type}`).join(", ");

/** The rows of a JSON array with their places in it. */
const inputOf = (columns: readonly Column[]): string =>
  `ROWS FROM (json_to_recordset($1::json) AS (${typed(columns)})) WITH ORDINALITY AS
    input (${columns.map(({ name }) => name).join(", ")}, place)`;

/** Rows whose month had been dropped when they came are kept apart. */
const isNotLate = (id: string): string => `NOT EXISTS (SELECT FROM ledger_late_row WHERE row_id = ${id})`;

function comparisonWith(table: string, key: string, columns: readonly Column[]): string {
  const differing = columns.map(
    ({ name }) => `CASE WHEN input.${name} IS DISTINCT FROM stored.${name} THEN '${name}' END`,
  );
  return `SELECT * FROM (
  SELECT input.place::integer AS place, '${table} ' || input.${key} AS key, stored.${key} IS NULL AS missing,
    CASE WHEN stored.${key} IS NULL THEN '' ELSE concat_ws(', ', ${differing.join(", ")}) END AS columns
  FROM ${inputOf(columns)}
  LEFT JOIN ${table} AS stored ON stored.${key} = input.${key} AND stored.occurred_at = input.occurred_at
  WHERE ${isNotLate(`input.${key}`)}
) AS comparison WHERE missing OR columns <> ''`;
}

const RECORD_COMPARISON = comparisonWith("cost_record", "record_id", COST_RECORD_COLUMNS);
const REQUEST_COMPARISON = comparisonWith("request_log", "request_log_id", REQUEST_LOG_COLUMNS);

const ACCOUNTING = ACCOUNTING_COLUMNS.map(({ name }) => name);
/** A late outcome is an entry of its attempt, unless the charge said the same. */
const LATE_OUTCOME_COMPARISON = `SELECT input.place::integer AS place, 'late outcome ' || input.attempt_id AS key, '' AS columns
FROM ${inputOf(COST_RECORD_COLUMNS)}
WHERE ${isNotLate("input.attempt_id")} AND NOT EXISTS (
  SELECT FROM cost_record AS stored WHERE stored.record_id = input.attempt_id
    AND (${ACCOUNTING.map((name) => `stored.${name}`).join(", ")}) IS NOT DISTINCT FROM
      (${ACCOUNTING.map((name) => `input.${name}`).join(", ")})
) AND NOT EXISTS (
  SELECT FROM cost_record AS stored WHERE stored.attempt_id = input.attempt_id AND stored.kind = 'adjustment'
    AND (${ACCOUNTING.map((name) => `stored.${name}`).join(", ")}) IS NOT DISTINCT FROM
      (${ACCOUNTING.map((name) => `input.${name}`).join(", ")})
)`;
