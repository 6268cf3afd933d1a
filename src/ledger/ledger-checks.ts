import { AMOUNT_COLUMNS, ATTEMPT_AMOUNTS, COUNTED_REQUEST } from "./amounts.ts";
import { type Bindings, within } from "./filter-sql.ts";
import { type Interval, wholeStretches } from "./report-segments.ts";
import { keyOf, ROLLUPS, type Rollup } from "./rollups.ts";
import { COST_RECORD_COLUMNS, SIGNED_COLUMNS } from "./table-columns.ts";

/** The rows that a check goes over, which it is said to have compared. */
export type Compared = "records" | "corrections" | "requests" | "sums";

/** A check that is one query over one state of the database. */
export interface SqlCheck {
  readonly name: string;
  readonly compared: Compared;
  /**
   * A SELECT of what differs: `key`, `expected` and `found` as text, and `noted`, true for what is worth knowing and no
   * difference.
   */
  sql(interval: Interval, bindings: Bindings): string;
}

/** The first and the last instant that a record can have. */
export const START_OF_TIME = new Date(0);
export const END_OF_TIME = new Date("9999-12-31T00:00:00Z");

/** A call that is under way has charges before it has its row; it takes ten minutes at most, and then some. */
const UNDER_WAY = "now() - interval '15 minutes'";
/** Attempts of a request may lie so much later than the request. */
const MAX_REQUEST_MS = 3_600_000;

const inside = (interval: Interval, bindings: Bindings, column = "occurred_at"): string =>
  within(column, interval, bindings);
const names = (columns: readonly { readonly name: string }[], table: string): string =>
  columns.map(({ name }) => `${table}.${name}`).join(", ");

/** The records and requests, summed again, are what each table of sums says. */
function recordsEqualRollup(rollup: Rollup): SqlCheck {
  const { table, unit, dimensions } = rollup;
  const key = keyOf(rollup).join(", ");
  const of = (side: string, column: string): string => `coalesce(${side}.${column}, 0)`;
  const differing = (side: string): string =>
    AMOUNT_COLUMNS.map(
      (column) =>
        `CASE WHEN ${of("booked", column)} <> ${of("summed", column)} THEN '${column} ' || ${of(side, column)} END`,
    ).join(", ");
  return {
    name: `records_equal_${table}`,
    compared: "sums",
    sql: (checked, bindings) => {
      // A row of months that the interval cuts is summed from more than is read.
      const interval = wholeStretches(checked, unit);
      return `
SELECT concat_ws(' ', to_char(${unit} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'), ${dimensions.join(", ")}) AS key,
  concat_ws(', ', ${differing("booked")}) AS expected, concat_ws(', ', ${differing("summed")}) AS found, false AS noted
FROM (
  SELECT ${key}, ${AMOUNT_COLUMNS.map((column) => `sum(${column}) AS ${column}`).join(", ")} FROM (
    SELECT date_trunc('${unit}', occurred_at, 'UTC') AS ${unit}, api_key_id, provider, model, 0 AS requests,
      ${ATTEMPT_AMOUNTS.map((amount) => `${amount.ofRecord} AS ${amount.column}`).join(", ")}
    FROM cost_record WHERE ${inside(interval, bindings)}
    UNION ALL
    SELECT date_trunc('${unit}', occurred_at, 'UTC'), api_key_id, coalesce(provider, ''), coalesce(model, ''), 1,
      ${ATTEMPT_AMOUNTS.map(() => "0").join(", ")}
    FROM request_log WHERE ${COUNTED_REQUEST} AND ${inside(interval, bindings)}
  ) AS entry GROUP BY ${key}
) AS booked
FULL JOIN (SELECT * FROM ${table} WHERE ${inside(interval, bindings, unit)}) AS summed USING (${key})
WHERE ${AMOUNT_COLUMNS.map((column) => `${of("booked", column)} <> ${of("summed", column)}`).join(" OR ")}`;
    },
  };
}

/**
 * A request with n attempts has the charges 1 to n. A request id that was used k times has each of them as often as
 * its requests explain. Charges without any request are noted: the call is under way, or a process died between its
 * last outcome and its row.
 */
const ATTEMPTS_COMPLETE: SqlCheck = {
  name: "attempts_complete",
  compared: "requests",
  sql: (interval, bindings) => {
    const around = {
      start: new Date(Math.max(0, interval.start.getTime() - MAX_REQUEST_MS)),
      end: new Date(Math.min(interval.end.getTime() + MAX_REQUEST_MS, END_OF_TIME.getTime())),
    };
    return `
SELECT concat_ws(' ', api_key_id, request_id, 'attempt', ordinal) AS key,
  coalesce(stated.count, 0) || ' charges' AS expected, coalesce(charged.count, 0) || ' charges' AS found,
  coalesce(charged.count, 0) > coalesce(stated.count, 0) AND (charged.latest > ${UNDER_WAY}
    OR NOT EXISTS (SELECT FROM request_log AS request
      WHERE request.api_key_id = charged.api_key_id AND request.request_id = charged.request_id)) AS noted
FROM (
  SELECT api_key_id, request_id, ordinal, count(*) AS count, bool_or(${inside(interval, bindings)}) AS inside
  FROM request_log, generate_series(1, attempts) AS ordinal
  WHERE ${inside(around, bindings)} GROUP BY api_key_id, request_id, ordinal
) AS stated
FULL JOIN (
  SELECT api_key_id, request_id, ordinal, count(*) AS count, bool_or(${inside(interval, bindings)}) AS inside,
    max(occurred_at) AS latest
  FROM cost_record WHERE kind = 'charge' AND ${inside(around, bindings)} GROUP BY api_key_id, request_id, ordinal
) AS charged USING (api_key_id, request_id, ordinal)
WHERE coalesce(stated.count, 0) <> coalesce(charged.count, 0) AND (stated.inside OR charged.inside)`;
  },
};

const CHARGED_ONCE: SqlCheck = {
  name: "attempts_charged_once",
  compared: "records",
  sql: (interval, bindings) => `
SELECT attempt_id::text AS key, '1 charge' AS expected, count(*) || ' charges' AS found, false AS noted
FROM cost_record WHERE kind = 'charge' AND ${inside(interval, bindings)} GROUP BY attempt_id HAVING count(*) > 1`,
};

const SIGNED = new Set(SIGNED_COLUMNS.map(({ name }) => name));
/** What a reversal shares with the entry that it takes back. */
const REVERSED_COLUMNS = COST_RECORD_COLUMNS.filter(({ name }) => name !== "record_id" && name !== "kind");
/** Whose attempt it is, which no correction changes. */
const IDENTITY_COLUMNS = ["request_id", "ordinal", "api_key_id", "provider", "model", "tags", "end_user"].map(
  (name) => ({ name }),
);

/** Corrections are pairs, numbered from 1; a reversal is the exact negation of the entry before it. */
const CORRECTIONS_WHOLE: SqlCheck = {
  name: "corrections_whole",
  compared: "corrections",
  sql: (interval, bindings) => {
    const records = (condition: string): string =>
      `(SELECT * FROM cost_record WHERE ${inside(interval, bindings)} AND ${condition})`;
    return `
SELECT attempt_id || ' revision ' || revision AS key, '1 reversal, 1 adjustment' AS expected,
  count(*) FILTER (WHERE kind = 'reversal') || ' reversal, ' || count(*) FILTER (WHERE kind = 'adjustment') || ' adjustment'
    AS found, false AS noted
FROM ${records("kind <> 'charge'")} AS correction GROUP BY attempt_id, revision
HAVING count(*) FILTER (WHERE kind = 'reversal') <> 1 OR count(*) FILTER (WHERE kind = 'adjustment') <> 1
UNION ALL
SELECT attempt_id::text, 'revisions 1 to ' || count(DISTINCT revision), 'revisions ' || min(revision) || ' to ' || max(revision), false
FROM ${records("kind <> 'charge'")} AS correction GROUP BY attempt_id
HAVING min(revision) <> 1 OR max(revision) <> count(DISTINCT revision)
UNION ALL
SELECT reversal.attempt_id || ' revision ' || reversal.revision,
  'the negation of ' || coalesce(entry.tokens_in || ' in, ' || entry.tokens_out || ' out, ', '')
    || coalesce('cost ' || entry.cost_usd, 'an entry'),
  coalesce(reversal.tokens_in || ' in, ' || reversal.tokens_out || ' out, ', '') || coalesce('cost ' || reversal.cost_usd, 'no cost'),
  false
FROM ${records("kind = 'reversal'")} AS reversal LEFT JOIN ${records("kind <> 'reversal'")} AS entry
  ON entry.attempt_id = reversal.attempt_id AND entry.revision = reversal.revision - 1
WHERE entry.attempt_id IS NULL OR (${names(REVERSED_COLUMNS, "reversal")}) IS DISTINCT FROM
  (${REVERSED_COLUMNS.map(({ name }) => `${SIGNED.has(name) ? "-" : ""}entry.${name}`).join(", ")})
UNION ALL
SELECT adjustment.attempt_id || ' revision ' || adjustment.revision, 'of the attempt of its charge',
  CASE WHEN charge.attempt_id IS NULL THEN 'no charge' ELSE 'of another' END, false
FROM ${records("kind = 'adjustment'")} AS adjustment LEFT JOIN ${records("kind = 'charge'")} AS charge USING (attempt_id)
WHERE charge.attempt_id IS NULL OR
  (${names(IDENTITY_COLUMNS, "adjustment")}) IS DISTINCT FROM (${names(IDENTITY_COLUMNS, "charge")})`;
  },
};

const COST = `(coalesce(uncached_tokens_in, 0) * uncached_usd_per_million
  + coalesce(cache_read_tokens_in, 0) * cache_read_usd_per_million
  + coalesce(cache_write_tokens_in, 0) * cache_write_usd_per_million
  + coalesce(text_tokens_out, 0) * text_out_usd_per_million
  + coalesce(reasoning_tokens_out, 0) * reasoning_out_usd_per_million) * 0.000001`;
const TOKENS_IN =
  "uncached_tokens_in + coalesce(cache_read_tokens_in, 0) + coalesce(cache_write_tokens_in, 0)";
const TOKENS_OUT = "text_tokens_out + coalesce(reasoning_tokens_out, 0)";
const HAS_PRICES = "uncached_usd_per_million IS NOT NULL";

/** A rule of the arithmetic of one record: when it is broken, and what it asks for. */
const RULES: readonly { readonly broken: string; readonly expected: string; readonly found: string }[] = [
  {
    broken: `${HAS_PRICES} AND cost_usd IS DISTINCT FROM ${COST}`,
    expected: `'tokens by prices: cost ' || coalesce((${COST})::text, 'of five prices')`,
    found: "'cost ' || coalesce(cost_usd::text, 'none')",
  },
  {
    broken: `tokens_in IS DISTINCT FROM ${TOKENS_IN}`,
    expected: `'input buckets: ' || coalesce((${TOKENS_IN})::text, 'none')`,
    found: "'tokens in ' || coalesce(tokens_in::text, 'none')",
  },
  {
    broken: `tokens_out IS DISTINCT FROM ${TOKENS_OUT}`,
    expected: `'output buckets: ' || coalesce((${TOKENS_OUT})::text, 'none')`,
    found: "'tokens out ' || coalesce(tokens_out::text, 'none')",
  },
  {
    broken: `CASE billing_state
      WHEN 'unpriced' THEN cost_usd IS NOT NULL
      WHEN 'not_billed' THEN cost_usd IS DISTINCT FROM 0
      WHEN 'settled' THEN cost_usd IS NULL
        OR NOT ${HAS_PRICES} AND (cost_usd <> 0 OR coalesce(tokens_in, 0) <> 0 OR coalesce(tokens_out, 0) <> 0)
      WHEN 'unknown' THEN cost_usd IS NOT NULL AND NOT ${HAS_PRICES}
      ELSE true END`,
    expected: "'a cost that fits the state ' || billing_state",
    found: `'cost ' || coalesce(cost_usd::text, 'none') || CASE WHEN ${HAS_PRICES} THEN '' ELSE ' without prices' END`,
  },
  {
    broken: `CASE kind WHEN 'reversal' THEN greatest(tokens_in, tokens_out, cost_usd) > 0
      ELSE least(tokens_in, tokens_out, cost_usd) < 0 END`,
    expected: "'the sign of a ' || kind",
    found: "concat_ws(', ', tokens_in || ' in', tokens_out || ' out', 'cost ' || cost_usd)",
  },
];

/** Cost = Σ tokens × unit price, to the picodollar; buckets sum to totals; state and cost fit. */
const ARITHMETIC: SqlCheck = {
  name: "record_arithmetic",
  compared: "records",
  sql: (interval, bindings) => {
    const choose = (part: "expected" | "found"): string =>
      `CASE ${RULES.map((rule) => `WHEN ${rule.broken} THEN ${rule[part]}`).join(" ")} END`;
    return `
SELECT attempt_id || ' ' || kind || ' ' || revision AS key, ${choose("expected")} AS expected, ${choose("found")} AS found,
  false AS noted
FROM cost_record
WHERE ${inside(interval, bindings)} AND (${RULES.map((rule) => `(${rule.broken})`).join(" OR ")})`;
  },
};

/** Every check of the tables with each other. */
export const SQL_CHECKS: readonly SqlCheck[] = [
  ...ROLLUPS.map(recordsEqualRollup),
  ATTEMPTS_COMPLETE,
  CHARGED_ONCE,
  CORRECTIONS_WHOLE,
  ARITHMETIC,
];
