import { AMOUNT_COLUMNS, ATTEMPT_AMOUNTS, COUNTED_REQUEST } from "../../src/ledger/amounts.ts";
import type { SqlQuery } from "../../src/ledger/ledger-database.ts";
import { HOURLY, keyOf, ROLLUPS, type Rollup } from "../../src/ledger/rollups.ts";

/** The interval that the records are spread over, evenly: twelve whole months and the current one up to now. */
export interface Workload {
  readonly rows: number;
  readonly start: Date;
  readonly end: Date;
}

export const KEYS = 200;
export const MODELS = 12;
export const PROVIDERS = 4;

export function planWorkload(rows: number, now: Date): Workload {
  return { rows, start: new Date(Date.UTC(now.getUTCFullYear() - 1, now.getUTCMonth())), end: now };
}

/** A pseudo-random share in [0, 1) of the row `n`, the same at each run. */
const share = (seed: number): string => `((hashint8extended(n, ${seed}) & 1048575)::float8 / 1048576)`;
const below = (seed: number, limit: number): string => `(hashint8extended(n, ${seed}) & 1048575) % ${limit}`;

/**
 * Row `n` of the workload. A few keys make most of the calls (one in six is of the busiest, one in six hundred of the
 * last), and each uses one to twelve of the models. One attempt in twenty is the second one of its request. Most are
 * priced as reported; each other state occurs.
 */
const DRAWN = `
  SELECT n, $3::timestamptz + make_interval(secs => round((n + 0.5) * $4::numeric / $5::numeric)::float8 / 1000) AS at,
    floor(${KEYS} * power(${share(1)}, 3))::int AS key,
    ${share(2)} AS model_share, ${below(3, 100)} AS state,
    60 + ${below(4, 4000)} AS uncached, CASE WHEN ${below(5, 10)} < 4 THEN ${below(6, 9000)} END AS cached,
    20 + ${below(7, 900)} AS text_out, CASE WHEN ${below(8, 10)} < 2 THEN ${below(9, 3000)} END AS reasoning,
    ${below(10, 20)} AS team, ${below(11, 5000)} AS end_user, ${below(12, 6000)} AS latency
  FROM generate_series($1::bigint, $2::bigint) AS n`;

const ROW = `
  SELECT *, 'k_' || lpad(key::text, 12, '0') AS api_key_id, 'provider-' || model % ${PROVIDERS} AS provider,
    'model-' || lpad(model::text, 2, '0') AS model_name, n - (n % 20) / 19 AS request,
    0.10 + model * 0.05 AS price_in, 0.01 + model * 0.005 AS price_cached, 0.40 + model * 0.35 AS price_out,
    state < 95 AS priced, state NOT IN (97, 98) AS used,
    jsonb_build_object('team', 'team-' || team, 'stage', CASE WHEN team < 15 THEN 'prod' ELSE 'test' END)
      || CASE WHEN n % 50000 = 17 THEN '{"experiment": "rare"}' ELSE '{}' END::jsonb AS tags
  FROM (SELECT *, (key * 7 + floor(model_share * model_share * (1 + key % ${MODELS}))::int) % ${MODELS} AS model
    FROM (${DRAWN}) AS drawn) AS row`;

/** An id that is ordered by time, as the gateway makes them, and is unique by the row. */
const ID = `(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000'
  || '8' || lpad(to_hex(n), 15, '0'))::uuid`;
const COST = `(uncached * price_in + coalesce(cached, 0) * price_cached
  + (text_out + coalesce(reasoning, 0)) * price_out) / 1000000`;

const RECORDS = `
  INSERT INTO cost_record (record_id, attempt_id, request_id, ordinal, kind, api_key_id, provider, model, response_model,
    outcome, error_reason, tokens_in, tokens_out, uncached_tokens_in, cache_read_tokens_in, cache_write_tokens_in,
    text_tokens_out, reasoning_tokens_out, usage_source, billing_state, cost_usd, uncached_usd_per_million,
    cache_read_usd_per_million, cache_write_usd_per_million, text_out_usd_per_million, reasoning_out_usd_per_million,
    price_id, flags, tags, end_user, streamed, latency_ms, provider_request_id, occurred_at, recorded_at)
  SELECT ${ID}, ${ID}, 'request-' || request, 1 + (n % 20) / 19, 'charge', api_key_id, provider, model_name, model_name,
    CASE WHEN used THEN 'succeeded' ELSE 'failed' END, CASE WHEN used THEN NULL ELSE 'PROVIDER_OVERLOADED' END,
    CASE WHEN used THEN uncached + coalesce(cached, 0) END, CASE WHEN used THEN text_out + coalesce(reasoning, 0) END,
    CASE WHEN used THEN uncached END, CASE WHEN used THEN cached END, NULL,
    CASE WHEN used THEN text_out END, CASE WHEN used THEN reasoning END,
    CASE WHEN NOT used THEN 'none' WHEN state < 92 THEN 'reported' ELSE 'estimated' END,
    CASE WHEN priced THEN 'settled' WHEN NOT used THEN 'not_billed' WHEN state = 99 THEN 'unknown' ELSE 'unpriced' END,
    CASE WHEN priced OR state = 99 THEN ${COST} WHEN NOT used THEN 0 END,
    CASE WHEN priced THEN price_in END, CASE WHEN priced THEN price_cached END, CASE WHEN priced THEN price_in END,
    CASE WHEN priced THEN price_out END, CASE WHEN priced THEN price_out END,
    CASE WHEN priced THEN 'price-' || model END, '[]', tags, 'user-' || end_user, n % 3 = 0, latency,
    'req_' || to_hex(n), at, at + interval '60 milliseconds'
  FROM (${ROW}) AS made`;

const REQUESTS = `
  INSERT INTO request_log (request_log_id, request_id, api_key_id, method, requested_model, provider, model, status,
    attempts, fell_back, latency_ms, trace_id, tags, end_user, occurred_at, recorded_at)
  SELECT ${ID}, 'request-' || request, api_key_id, CASE WHEN n % 3 = 0 THEN 'StreamComplete' ELSE 'Complete' END,
    model_name, provider, model_name, CASE WHEN used THEN 'ok' ELSE 'error' END, 1 + (n % 20) / 19, n % 20 = 19,
    latency, md5(n::text), tags, 'user-' || end_user, at, at + interval '60 milliseconds'
  FROM (${ROW}) AS made WHERE n % 20 <> 18`;

/** Rows that one statement makes. */
const CHUNK_ROWS = 250_000;

/** Makes the records and their requests. Indexes are taken away meanwhile: building them afterwards is faster. */
export async function makeRecords(
  query: SqlQuery,
  workload: Workload,
  progress: (text: string) => void,
): Promise<void> {
  const { rows, start, end } = workload;
  await query(
    `SELECT ensure_ledger_month(month) FROM generate_series($1::timestamptz, $2::timestamptz, '1 day') AS month`,
    [start.toISOString(), end.toISOString()],
  );
  const spanMs = end.getTime() - start.getTime();
  for (let first = 0; first < rows; first += CHUNK_ROWS) {
    const last = Math.min(rows, first + CHUNK_ROWS) - 1;
    const values = [first, last, start.toISOString(), spanMs, rows];
    await query(RECORDS, values);
    await query(REQUESTS, values);
    progress(`${last + 1} records`);
  }
}

/** Computes every rollup from the records and requests, month by month. */
export async function makeRollups(query: SqlQuery, { start, end }: Workload): Promise<void> {
  const month = new Date(start);
  while (month < end) {
    const next = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1));
    await query(HOURLY_SUMS, [month.toISOString(), next.toISOString()]);
    for (const rollup of ROLLUPS)
      if (rollup !== HOURLY) await query(coarserSums(rollup), [month.toISOString(), next.toISOString()]);
    month.setTime(next.getTime());
  }
}

const WITHIN = "occurred_at >= $1::timestamptz AND occurred_at < $2::timestamptz";

const HOURLY_SUMS = `
  INSERT INTO cost_rollup_hourly (${[...keyOf(HOURLY), ...AMOUNT_COLUMNS].join(", ")})
  SELECT ${[...keyOf(HOURLY), ...AMOUNT_COLUMNS.map((column) => `sum(${column})`)].join(", ")} FROM (
    SELECT date_trunc('hour', occurred_at, 'UTC') AS hour, api_key_id, provider, model, 0 AS requests,
      ${ATTEMPT_AMOUNTS.map(({ column, ofRecord }) => `${ofRecord} AS ${column}`).join(", ")}
    FROM cost_record WHERE ${WITHIN}
    UNION ALL
    SELECT date_trunc('hour', occurred_at, 'UTC'), api_key_id, provider, model, 1, ${ATTEMPT_AMOUNTS.map(() => "0").join(", ")}
    FROM request_log WHERE ${COUNTED_REQUEST} AND ${WITHIN}
  ) AS amount GROUP BY ${keyOf(HOURLY).join(", ")} ORDER BY ${keyOf(HOURLY).join(", ")}`;

function coarserSums(rollup: Rollup): string {
  const expressions = [`date_trunc('${rollup.unit}', hour, 'UTC')`, ...rollup.dimensions].join(", ");
  return `
    INSERT INTO ${rollup.table} (${[...keyOf(rollup), ...AMOUNT_COLUMNS].join(", ")})
    SELECT ${expressions}, ${AMOUNT_COLUMNS.map((column) => `sum(${column})`).join(", ")}
    FROM cost_rollup_hourly WHERE hour >= $1::timestamptz AND hour < $2::timestamptz
    GROUP BY ${expressions} ORDER BY ${expressions}`;
}
