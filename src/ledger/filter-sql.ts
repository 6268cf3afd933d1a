import { GatewayError } from "../core/errors.ts";
import type { CostFilter } from "../core/ledger.ts";
import type { SqlValue } from "./ledger-database.ts";

/** The parameters of one statement: `bind` keeps a value and returns its placeholder. */
export interface Bindings {
  readonly values: readonly SqlValue[];
  bind(value: SqlValue): string;
}

export function createBindings(): Bindings {
  const values: SqlValue[] = [];
  return { values, bind: (value) => `$${values.push(value)}` };
}

export const MAX_INTERVAL_YEARS = 10;
export const MAX_FILTER_VALUES = 1_000;
const MAX_INTERVAL_MS = MAX_INTERVAL_YEARS * 366 * 24 * 3_600_000;

export function invalid(field: string, description: string): GatewayError {
  return new GatewayError("INVALID_REQUEST", `${field} ${description}`, {
    fieldViolations: [{ field, description }],
  });
}

/** @throws GatewayError INVALID_REQUEST */
export function assertFilter(filter: CostFilter): void {
  for (const [field, date] of Object.entries({ start: filter.start, end: filter.end, as_of: filter.asOf })) {
    if (date === undefined) continue;
    const year = date.getUTCFullYear();
    if (!(year >= 1970 && year <= 9999)) throw invalid(field, "must lie in the years 1970 to 9999");
  }
  if (filter.start >= filter.end) throw invalid("end", "must be later than start");
  if (filter.end.getTime() - filter.start.getTime() > MAX_INTERVAL_MS) {
    throw invalid("end", `must be at most ${MAX_INTERVAL_YEARS} years later than start`);
  }
  const lists = {
    api_key_ids: filter.apiKeyIds,
    providers: filter.providers,
    models: filter.models,
    tags: Object.entries(filter.tags).flat(),
    end_users: filter.endUsers,
  };
  for (const [field, values] of Object.entries(lists)) {
    if (values.length > MAX_FILTER_VALUES)
      throw invalid(field, `must have at most ${MAX_FILTER_VALUES} values`);
    if (values.some((value) => value.includes("\0")))
      throw invalid(field, "must not contain the character U+0000");
  }
}

/** The conditions that every table of the ledger can check; values are parameters, never text of the statement. */
export function sharedConditions(
  filter: Pick<CostFilter, "apiKeyIds" | "providers" | "models">,
  { bind }: Bindings,
): readonly string[] {
  const lists = { api_key_id: filter.apiKeyIds, provider: filter.providers, model: filter.models };
  return Object.entries(lists)
    .filter(([, values]) => values.length > 0)
    .map(([column, values]) => isAmong(column, values, bind));
}

/** One value is compared by itself: only then does an index on (column, time) give its rows in the order of time. */
function isAmong(column: string, values: readonly string[], bind: Bindings["bind"]): string {
  const [first] = values;
  return values.length === 1 && first !== undefined
    ? `${column} = ${bind(first)}::text`
    : `${column} = ANY(${bind(values)}::text[])`;
}

/** The conditions on columns that no rollup has. */
export function detailConditions(filter: CostFilter, { bind }: Bindings): readonly string[] {
  const conditions: string[] = [];
  if (Object.keys(filter.tags).length > 0)
    conditions.push(`tags @> ${bind(JSON.stringify(filter.tags))}::jsonb`);
  if (filter.endUsers.length > 0) conditions.push(isAmong("end_user", filter.endUsers, bind));
  return conditions;
}

/** Whether no rollup can answer for this filter. */
export function needsDetail(filter: CostFilter): boolean {
  return Object.keys(filter.tags).length > 0 || filter.endUsers.length > 0;
}

/** `[start, end)` of a column. */
export function within(
  column: string,
  { start, end }: { readonly start: Date; readonly end: Date },
  { bind }: Bindings,
): string {
  return `${column} >= ${bind(start.toISOString())}::timestamptz AND ${column} < ${bind(end.toISOString())}::timestamptz`;
}
