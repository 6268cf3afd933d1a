import { AMOUNT_COLUMNS, ATTEMPT_AMOUNTS, COUNTED_REQUEST } from "./amounts.ts";
import { HOURLY, keyOf, ROLLUPS, type Rollup } from "./rollups.ts";
import { COST_RECORD_COLUMNS, type Column, PRICE_COLUMNS, REQUEST_LOG_COLUMNS } from "./table-columns.ts";

/** How `pg_stat_activity` shows a ledger write; `as-of.ts` waits for those that are under way. */
export const WRITE_MARKER = "/* llm-gateway ledger write */";

/** Its name on the server: parsing and planning it takes 1.3 ms, which is 80 % of a batch with one request. */
export const WRITE_STATEMENT_NAME = "llm_gateway_ledger_write";

/**
 * Writes a batch in one statement, which is one transaction and one round trip. Parameters: attempts, requests and
 * prices, each as the text of a JSON array of rows. What is there already is left alone, and the sums grow only by the
 * rows that were really inserted: those of the hour are made first, the coarser ones from them. Sums are taken in the
 * order of their key, table by table, so that two writers that need the same ones wait for each other instead of
 * deadlocking.
 *
 * JSON text rather than one array parameter per column: 2-3 µs of Node's CPU a row instead of 9 (200-row batches),
 * and the database's 34 µs instead of 24 run on another core.
 */
export const WRITE_STATEMENT = `${WRITE_MARKER}
WITH new_record AS (
  ${insertOf("cost_record", COST_RECORD_COLUMNS, "$1")}
  ON CONFLICT (record_id, occurred_at) DO NOTHING
  RETURNING *
), new_request AS (
  ${insertOf("request_log", REQUEST_LOG_COLUMNS, "$2")}
  ON CONFLICT (request_log_id, occurred_at) DO NOTHING
  RETURNING *
), new_price AS (
  ${insertOf("price", PRICE_COLUMNS, "$3")}
  ON CONFLICT (price_id) DO NOTHING
), ${rollupExpressions("new_record", "new_request")}
SELECT true AS written`;

/**
 * The WITH queries that advance all sums. `records` and `requests` name WITH queries that return whole rows of
 * `cost_record` and of `request_log`, really inserted ones.
 */
export function rollupExpressions(records: string, requests?: string): string {
  const ofRequests = `
  UNION ALL
  SELECT date_trunc('hour', occurred_at, 'UTC'), api_key_id, coalesce(provider, ''), coalesce(model, ''),
    1, ${ATTEMPT_AMOUNTS.map(() => "0").join(", ")}
  FROM ${requests} WHERE ${COUNTED_REQUEST}`;
  return `amount AS (
  SELECT date_trunc('hour', occurred_at, 'UTC') AS hour, api_key_id, provider, model,
    0 AS requests, ${ATTEMPT_AMOUNTS.map((amount) => `${amount.ofRecord} AS ${amount.column}`).join(", ")}
  FROM ${records}${requests === undefined ? "" : ofRequests}
), hour_amount AS MATERIALIZED (
  SELECT ${[...keyOf(HOURLY), ...AMOUNT_COLUMNS.map((column) => `sum(${column}) AS ${column}`)].join(", ")}
  FROM amount GROUP BY ${keyOf(HOURLY).join(", ")}
), ${ROLLUPS.map((rollup) => `into_${rollup.table} AS (${advance(rollup)})`).join(", ")}`;
}

/** Adds the batch's sums to those of the table. */
function advance(rollup: Rollup): string {
  const { table, unit, dimensions } = rollup;
  const key = keyOf(rollup).join(", ");
  const expressions = [`date_trunc('${unit}', hour, 'UTC')`, ...dimensions];
  return `INSERT INTO ${table} (${[key, ...AMOUNT_COLUMNS].join(", ")})
SELECT ${[...expressions, ...AMOUNT_COLUMNS.map((column) => `sum(${column})`)].join(", ")}
FROM hour_amount GROUP BY ${expressions.join(", ")} ORDER BY ${expressions.join(", ")}
ON CONFLICT (${key}) DO UPDATE SET
  ${AMOUNT_COLUMNS.map((column) => `${column} = ${table}.${column} + excluded.${column}`).join(", ")}`;
}

/** An INSERT of the rows of a JSON array; what to do about a conflict goes after it. */
export function insertOf(table: string, columns: readonly Column[], parameter: string): string {
  const names = columns.map((column) => column.name).join(", ");
  const types = columns.map((column) => `${column.name} ${column.type}`).join(", ");
  return `INSERT INTO ${table} (${names}) SELECT ${names} FROM json_to_recordset(${parameter}::json) AS input (${types})`;
}
