import {
  ACCOUNTING_COLUMNS,
  COST_RECORD_COLUMNS,
  type Column,
  OUTCOME_COLUMNS,
  PRICE_COLUMNS,
  PRICING_COLUMNS,
  SIGNED_COLUMNS,
} from "./table-columns.ts";
import { insertOf, rollupExpressions, WRITE_MARKER } from "./write-statement.ts";

/**
 * What became of a correction:
 * - `applied`: its reversal and its adjustment are there. - `done`: they were before. - `equal`: nothing to correct.
 * - `conflict`: another correction came first, or the entry is not the one that was expected; nothing was written.
 * - `missing`: the ledger has no such attempt.
 */
export type CorrectionState = "applied" | "done" | "equal" | "conflict" | "missing";

const INPUT_COLUMNS: readonly Column[] = [
  { name: "attempt_id", type: "uuid" },
  { name: "occurred_at", type: "timestamptz" },
  { name: "adjustment_id", type: "uuid" },
  { name: "expected_revision", type: "integer" },
];
const RECORD_NAMES = COST_RECORD_COLUMNS.map((column) => column.name);
const SIGNED_NAMES = new Set(SIGNED_COLUMNS.map((column) => column.name));

const accountedIn = (changed: readonly Column[]): readonly Column[] =>
  ACCOUNTING_COLUMNS.filter(({ name }) => changed.some((column) => column.name === name));
const namesOf = (columns: readonly Column[], prefix: string): string =>
  columns.map(({ name }) => `${prefix}${name}`).join(", ");

/**
 * Corrects attempts by late outcomes. Parameter: the text of a JSON array of rows as `chargeToJson` makes them.
 * Returns `attempt_id` and `state` of each.
 */
export const LATE_OUTCOME_STATEMENT: string = buildCorrectionStatement(OUTCOME_COLUMNS, "charge", "");

/**
 * Corrects attempts by another price, as one step of an adjustment, and stores the prices. Parameters: JSON arrays of
 * corrections (PRICING_COLUMNS, `attempt_id`, `occurred_at`, `adjustment_id`, `expected_revision`), of prices, and of
 * the one step. Should any of the corrections not be applied, a constraint of the step makes all of it fail.
 */
export const RERATING_STATEMENT: string = buildCorrectionStatement(
  PRICING_COLUMNS,
  "in_force",
  `, new_price AS (
  ${insertOf("price", PRICE_COLUMNS, "$2")}
  ON CONFLICT (price_id) DO NOTHING
), new_step AS (
  INSERT INTO cost_adjustment_step (adjustment_id, step, examined, unchanged, unpriced, planned, price_ids,
    after_occurred_at, after_attempt_id, complete, adjusted, cost_before_usd, cost_after_usd)
  SELECT step.*,
    (SELECT count(*) FROM new_record WHERE kind = 'adjustment'),
    (SELECT coalesce(-sum(cost_usd), 0) FROM new_record WHERE kind = 'reversal'),
    (SELECT coalesce(sum(cost_usd), 0) FROM new_record WHERE kind = 'adjustment')
  FROM json_to_recordset($3::json) AS step (adjustment_id uuid, step integer, examined bigint, unchanged bigint,
    unpriced bigint, planned bigint, price_ids jsonb, after_occurred_at timestamptz, after_attempt_id uuid,
    complete boolean)
)`,
);

/**
 * One statement, so the two entries of a correction are written together or not at all. The database itself finds the
 * entry in force and negates it: nobody has to know what another process wrote. Two corrections that race compute the
 * same ids, so the second one inserts nothing, and says `conflict`.
 *
 * A late outcome says something new unless it equals the charge, whatever was rated again since: so one that is told
 * again leaves a re-rating alone.
 *
 * Entries are looked up by LATERAL, one attempt after the other: statistics that have not heard of the adjustments yet
 * made a join of all with all.
 */
function buildCorrectionStatement(
  changed: readonly Column[],
  unlessEqualTo: "charge" | "in_force",
  more: string,
): string {
  const input = [...changed, ...INPUT_COLUMNS].map(({ name, type }) => `${name} ${type}`).join(", ");
  return `${WRITE_MARKER}
WITH input AS (
  SELECT DISTINCT ON (attempt_id) * FROM json_to_recordset($1::json) AS input (${input}) ORDER BY attempt_id
), entry AS (
  SELECT record.* FROM input CROSS JOIN LATERAL (
    SELECT * FROM cost_record WHERE record_id = input.attempt_id AND occurred_at = input.occurred_at
    UNION ALL
    SELECT * FROM cost_record
    WHERE attempt_id = input.attempt_id AND occurred_at = input.occurred_at AND kind = 'adjustment'
  ) AS record
), in_force AS (
  SELECT DISTINCT ON (entry.attempt_id) entry.*,
    bool_or(entry.kind = 'adjustment' AND entry.adjustment_id IS NOT DISTINCT FROM input.adjustment_id)
      OVER (PARTITION BY entry.attempt_id) AS done
  FROM entry JOIN input ON input.attempt_id = entry.attempt_id ORDER BY entry.attempt_id, entry.revision DESC
), charge AS (
  SELECT * FROM entry WHERE kind = 'charge'
), decision AS (
  SELECT input.attempt_id, CASE
    WHEN in_force.attempt_id IS NULL THEN 'missing'
    WHEN in_force.done THEN 'done'
    WHEN in_force.revision <> input.expected_revision THEN 'conflict'
    WHEN (${namesOf(accountedIn(changed), "input.")}) IS NOT DISTINCT FROM
      (${namesOf(accountedIn(changed), `${unlessEqualTo}.`)}) THEN 'equal'
    ELSE 'applied' END AS state
  FROM input LEFT JOIN in_force USING (attempt_id) LEFT JOIN charge USING (attempt_id)
), correction AS (
  ${selectEntry("reversal", (name) => (SIGNED_NAMES.has(name) ? `-in_force.${name}` : `in_force.${name}`))}
  UNION ALL
  ${selectEntry("adjustment", (name) => (changed.some((column) => column.name === name) ? `input.${name}` : `in_force.${name}`))}
), new_record AS (
  INSERT INTO cost_record (${[...RECORD_NAMES, "revision", "adjustment_id"].join(", ")})
  SELECT * FROM correction ORDER BY record_id
  ON CONFLICT DO NOTHING
  RETURNING *
)${more}, ${rollupExpressions("new_record")}
SELECT attempt_id::text AS attempt_id, CASE
  WHEN state = 'applied' AND attempt_id NOT IN (SELECT attempt_id FROM new_record) THEN 'conflict'
  ELSE state END AS state
FROM decision`;
}

/** One of the two entries, in the order of the columns that are inserted. */
function selectEntry(kind: "reversal" | "adjustment", valueFor: (column: string) => string): string {
  const values = RECORD_NAMES.map((name) => {
    if (name === "record_id") return `${correctionId(kind)} AS record_id`;
    return name === "kind" ? `'${kind}'` : valueFor(name);
  });
  return `SELECT ${values.join(", ")}, in_force.revision + 1, input.adjustment_id
  FROM decision JOIN input USING (attempt_id) JOIN in_force USING (attempt_id) WHERE state = 'applied'`;
}

/** A UUIDv8 (RFC 9562) from the SHA-256 of attempt, revision and kind: the same correction always has the same id. */
function correctionId(kind: string): string {
  const name = `in_force.attempt_id || '/' || (in_force.revision + 1) || '/${kind}'`;
  const hex = `left(encode(sha256(convert_to(${name}, 'UTF8')), 'hex'), 32)`;
  return `overlay(overlay(${hex} placing '8' from 13) placing '8' from 17)::uuid`;
}
