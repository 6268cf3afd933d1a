import { AMOUNT_COLUMNS, ATTEMPT_AMOUNTS, COUNTED_REQUEST } from "../../src/ledger/amounts.ts";
import type { SqlQuery } from "../../src/ledger/ledger-database.ts";
import { HOURLY, keyOf, ROLLUPS, type Rollup } from "../../src/ledger/rollups.ts";

/**
 * Compares every table of sums, row by row and sum by sum, with what the records and requests come to. Months whose
 * records retention has dropped are compared with the hourly sums only. One line for each table and month that
 * differs.
 */
export async function findRollupDifferences(query: SqlQuery): Promise<readonly string[]> {
  const differences: string[] = [];
  for (const { month, kept } of await monthsOf(query)) {
    for (const rollup of ROLLUPS) {
      if (rollup === HOURLY && !kept) continue;
      const wrong = await countDifferences(query, rollup, month);
      if (wrong > 0) differences.push(`${rollup.table}, ${month}: ${wrong} rows`);
    }
  }
  return differences;
}

async function monthsOf(query: SqlQuery) {
  const times = [
    ...ROLLUPS.map(({ table, unit }) => `SELECT date_trunc('month', ${unit}, 'UTC') AS month FROM ${table}`),
    ...["cost_record", "request_log"].map(
      (table) => `SELECT date_trunc('month', occurred_at, 'UTC') FROM ${table}`,
    ),
  ];
  const rows = await query(
    `SELECT to_char(month AT TIME ZONE 'UTC', 'YYYY-MM-01"T00:00:00Z"') AS month,
       month > coalesce((SELECT max(month) FROM ledger_retention), '-infinity') AS kept
     FROM (${times.join(" UNION ")}) AS month ORDER BY 1`,
  );
  return rows.map((row) => ({ month: String(row.month), kept: row.kept === true }));
}

async function countDifferences(query: SqlQuery, rollup: Rollup, month: string): Promise<number> {
  const columns = [...keyOf(rollup), ...AMOUNT_COLUMNS.map((column) => `${column}::numeric`)].join(", ");
  const stored = `SELECT ${columns} FROM ${rollup.table} WHERE ${within(rollup.unit)}`;
  const computed = rollup === HOURLY ? hourlyOfRecords() : sumsOf(rollup, "cost_rollup_hourly", "hour");
  const [row] = await query(
    `WITH stored AS (${stored}), computed AS (${computed})
     SELECT count(*)::int AS wrong FROM (
       (SELECT * FROM stored EXCEPT ALL SELECT * FROM computed) UNION ALL
       (SELECT * FROM computed EXCEPT ALL SELECT * FROM stored)) AS difference`,
    [month],
  );
  return Number(row?.wrong);
}

function sumsOf({ unit, dimensions }: Rollup, source: string, time: string): string {
  const key = [`date_trunc('${unit}', ${time}, 'UTC')`, ...dimensions].join(", ");
  const sums = AMOUNT_COLUMNS.map((column) => `sum(${column})::numeric`).join(", ");
  return `SELECT ${key}, ${sums} FROM ${source} WHERE ${within(time)} GROUP BY ${key}`;
}

function hourlyOfRecords(): string {
  const none = ATTEMPT_AMOUNTS.map(() => "0").join(", ");
  const ofRecord = ATTEMPT_AMOUNTS.map((amount) => `${amount.ofRecord} AS ${amount.column}`).join(", ");
  const amounts = `(
    SELECT occurred_at, api_key_id, provider, model, 0 AS requests, ${ofRecord} FROM cost_record WHERE ${within("occurred_at")}
    UNION ALL
    SELECT occurred_at, api_key_id, coalesce(provider, ''), coalesce(model, ''), 1, ${none}
    FROM request_log WHERE ${COUNTED_REQUEST} AND ${within("occurred_at")}) AS amount`;
  return sumsOf(HOURLY, amounts, "occurred_at");
}

const within = (time: string): string =>
  `${time} >= $1::timestamptz AND ${time} < ($1::timestamptz AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'`;
