import type { CostDimension, CostQuery } from "../core/ledger.ts";
import { AMOUNT_COLUMNS, ATTEMPT_AMOUNTS, COUNTED_REQUEST } from "./amounts.ts";
import { type Bindings, createBindings, detailConditions, sharedConditions, within } from "./filter-sql.ts";
import type { SqlValue } from "./ledger-database.ts";
import { type Interval, type Segment, spanOfRollups } from "./report-segments.ts";
import type { Rollup } from "./rollups.ts";

/** A statement and its parameters. */
export interface CostStatement {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

/** A table that sums are taken from, as a SELECT list sees it. */
interface Source {
  readonly table: string;
  readonly time: string;
  /** One expression for each of AMOUNT_COLUMNS. */
  readonly amounts: readonly string[];
  readonly conditions: readonly string[];
  /** It has tags and end users. */
  readonly detailed: boolean;
}

const RECORDS: Source = {
  table: "cost_record",
  time: "occurred_at",
  amounts: ["0", ...ATTEMPT_AMOUNTS.map((amount) => amount.ofRecord)],
  conditions: [],
  detailed: true,
};
const REQUESTS: Source = {
  table: "request_log",
  time: "occurred_at",
  amounts: ["1", ...ATTEMPT_AMOUNTS.map(() => "0")],
  conditions: [COUNTED_REQUEST],
  detailed: true,
};
const fromRollup = ({ table, unit }: Rollup): Source => ({
  table,
  time: unit,
  amounts: AMOUNT_COLUMNS,
  conditions: [],
  detailed: false,
});

/**
 * The statement of a report: one row per group with `key_0`, … and the sums, both as text.
 *
 * What all rollups come to is corrected by what was recorded after `asOf`; segments of records read what was recorded
 * before it.
 */
export function buildCostStatement(
  query: CostQuery,
  segments: readonly Segment[],
  bounds: { readonly asOf: Date; readonly limit: number },
): CostStatement {
  const bindings = createBindings();
  const keys = query.groupBy.map((_, index) => `key_${index}`);
  const sums = AMOUNT_COLUMNS.map((column) => `sum(${column})::text AS ${column}`);
  const groups = keys.length > 0 ? `GROUP BY ${keys.join(", ")}` : "";
  const order = keys.length > 0 ? `ORDER BY ${keys.map((key) => `${key} COLLATE "C"`).join(", ")}` : "";
  const text = `SELECT ${[...keys, ...sums].join(", ")}
FROM (
${buildBranches(query, segments, bounds.asOf, bindings).join("\nUNION ALL\n")}
) AS amount
${groups}
HAVING ${AMOUNT_COLUMNS.map((column) => `sum(${column}) <> 0`).join(" OR ")}
${order} LIMIT ${bindings.bind(bounds.limit)}::bigint`;
  return { text, values: bindings.values };
}

function buildBranches(
  query: CostQuery,
  segments: readonly Segment[],
  asOf: Date,
  bindings: Bindings,
): readonly string[] {
  const branch = createBranch(query, bindings);
  const recorded = (comparison: "<" | ">="): string =>
    `recorded_at ${comparison} ${bindings.bind(asOf.toISOString())}::timestamptz`;
  const stretches = segments.flatMap(({ source, sign, ...interval }) => {
    const signed = sign === 1 ? (table: Source) => table : negated;
    return source === "records"
      ? [RECORDS, REQUESTS].map((table) => branch(signed(table), interval, recorded("<")))
      : [branch(signed(fromRollup(source)), interval)];
  });
  const summed = spanOfRollups(segments);
  if (!summed) return stretches;
  return [
    ...stretches,
    ...[RECORDS, REQUESTS].map((table) => branch(negated(table), summed, recorded(">="))),
  ];
}

/** One SELECT over one table and one interval. */
function createBranch(query: CostQuery, bindings: Bindings) {
  return (source: Source, interval: Interval, ...more: readonly string[]): string => {
    const keys = query.groupBy.map(
      (by, index) => `${dimensionSql(by, source, query, bindings)} AS key_${index}`,
    );
    const amounts = source.amounts.map((expression, index) => `${expression} AS ${AMOUNT_COLUMNS[index]}`);
    const conditions = [
      within(source.time, interval, bindings),
      ...sharedConditions(query, bindings),
      ...(source.detailed ? detailConditions(query, bindings) : []),
      ...source.conditions,
      ...more,
    ];
    return `SELECT ${[...keys, ...amounts].join(", ")} FROM ${source.table} WHERE ${conditions.join(" AND ")}`;
  };
}

function negated(source: Source): Source {
  return { ...source, amounts: source.amounts.map((expression) => `-(${expression})`) };
}

function dimensionSql(by: CostDimension, source: Source, query: CostQuery, { bind }: Bindings): string {
  switch (by) {
    case "api_key":
      return "api_key_id";
    case "provider":
      return "coalesce(provider, '')";
    case "model":
      return "coalesce(model, '')";
    case "end_user":
      return "coalesce(end_user, '')";
    case "tag":
      return `coalesce(tags ->> ${bind(query.tagKey ?? "")}::text, '')`;
    case "hour":
    case "day":
    case "month":
      return `to_char(date_trunc('${by}', ${source.time}, 'UTC') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
    default:
      return by satisfies never;
  }
}
