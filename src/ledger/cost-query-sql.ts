import type { CostDimension, CostQuery } from "../core/ledger.ts";
import { AMOUNT_COLUMNS, ATTEMPT_AMOUNTS, COUNTED_REQUEST } from "./amounts.ts";
import {
  type Bindings,
  createBindings,
  detailConditions,
  needsDetail,
  sharedConditions,
  within,
} from "./filter-sql.ts";
import type { SqlValue } from "./ledger-database.ts";

const HOUR_MS = 3_600_000;

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
}

const ROLLUP: Source = { table: "cost_rollup_hourly", time: "hour", amounts: AMOUNT_COLUMNS, conditions: [] };
const RECORDS: Source = {
  table: "cost_record",
  time: "occurred_at",
  amounts: ["0", ...ATTEMPT_AMOUNTS.map((amount) => amount.ofRecord)],
  conditions: [],
};
const REQUESTS: Source = {
  table: "request_log",
  time: "occurred_at",
  amounts: ["1", ...ATTEMPT_AMOUNTS.map(() => "0")],
  conditions: [COUNTED_REQUEST],
};

/**
 * The statement of a report: one row per group with `key_0`, … and the sums, both as text.
 *
 * Whole hours come from the hourly sums, less what was recorded after `asOf`; the ragged ends come from the records
 * themselves. A report that asks for what the sums do not have (tags, end users), or for a past instant, reads
 * records only.
 */
export function buildCostStatement(query: CostQuery, asOf: Date, limit: number): CostStatement {
  const bindings = createBindings();
  const keys = query.groupBy.map((_, index) => `key_${index}`);
  const sums = AMOUNT_COLUMNS.map((column) => `sum(${column})::text AS ${column}`);
  const groups = keys.length > 0 ? `GROUP BY ${keys.join(", ")}` : "";
  const order = keys.length > 0 ? `ORDER BY ${keys.map((key) => `${key} COLLATE "C"`).join(", ")}` : "";
  const text = `SELECT ${[...keys, ...sums].join(", ")}
FROM (
${buildBranches(query, asOf, bindings).join("\nUNION ALL\n")}
) AS amount
${groups}
HAVING ${AMOUNT_COLUMNS.map((column) => `sum(${column}) <> 0`).join(" OR ")}
${order} LIMIT ${bindings.bind(limit)}::bigint`;
  return { text, values: bindings.values };
}

function buildBranches(query: CostQuery, asOf: Date, bindings: Bindings): readonly string[] {
  const branch = createBranch(query, bindings);
  const before = (start: Date, end: Date): readonly string[] => {
    const recorded = `recorded_at < ${bindings.bind(asOf.toISOString())}::timestamptz`;
    return [RECORDS, REQUESTS].map((source) => branch(source, start, end, recorded));
  };
  const fullHours = wholeHours(query);
  const detailed = needsDetail(query) || query.groupBy.some((by) => by === "tag" || by === "end_user");
  if (!fullHours || detailed || query.asOf !== undefined) return before(query.start, query.end);

  const after = `recorded_at >= ${bindings.bind(asOf.toISOString())}::timestamptz`;
  return [
    branch(ROLLUP, fullHours.start, fullHours.end),
    ...[RECORDS, REQUESTS].map((source) => branch(negated(source), fullHours.start, fullHours.end, after)),
    ...(query.start < fullHours.start ? before(query.start, fullHours.start) : []),
    ...(fullHours.end < query.end ? before(fullHours.end, query.end) : []),
  ];
}

/** One SELECT over one table and one interval. */
function createBranch(query: CostQuery, bindings: Bindings) {
  return (source: Source, start: Date, end: Date, ...more: readonly string[]): string => {
    const keys = query.groupBy.map(
      (by, index) => `${dimensionSql(by, source, query, bindings)} AS key_${index}`,
    );
    const amounts = source.amounts.map((expression, index) => `${expression} AS ${AMOUNT_COLUMNS[index]}`);
    const conditions = [
      within(source.time, start, end, bindings),
      ...sharedConditions(query, bindings),
      ...(source.table === ROLLUP.table ? [] : detailConditions(query, bindings)),
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

/** The longest interval of whole hours inside the query's; undefined when there is none. */
function wholeHours({ start, end }: CostQuery): { readonly start: Date; readonly end: Date } | undefined {
  const startMs = Math.ceil(start.getTime() / HOUR_MS) * HOUR_MS;
  const endMs = Math.floor(end.getTime() / HOUR_MS) * HOUR_MS;
  return startMs < endMs ? { start: new Date(startMs), end: new Date(endMs) } : undefined;
}
