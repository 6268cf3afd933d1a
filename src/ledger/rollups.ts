/** A table of sums: of which stretch of time one row is, and by what it is divided. */
export interface Rollup {
  readonly table: string;
  /** Also the name of the column with the first instant of the stretch, in UTC. */
  readonly unit: "hour" | "day" | "month";
  readonly dimensions: readonly string[];
}

const BY_KEY = ["api_key_id", "provider", "model"];
/** Keys are many, and each multiplies the rows of its table; models are few. */
const ALL_KEYS = ["provider", "model"];

export const HOURLY: Rollup = { table: "cost_rollup_hourly", unit: "hour", dimensions: BY_KEY };
export const DAILY: Rollup = { table: "cost_rollup_daily", unit: "day", dimensions: BY_KEY };
export const MONTHLY: Rollup = { table: "cost_rollup_monthly", unit: "month", dimensions: BY_KEY };
export const HOURLY_ALL_KEYS: Rollup = {
  table: "cost_rollup_hourly_all_keys",
  unit: "hour",
  dimensions: ALL_KEYS,
};
export const DAILY_ALL_KEYS: Rollup = {
  table: "cost_rollup_daily_all_keys",
  unit: "day",
  dimensions: ALL_KEYS,
};

/** Every table of sums. All of them are advanced by the statement that writes the records. */
export const ROLLUPS: readonly Rollup[] = [HOURLY, DAILY, MONTHLY, HOURLY_ALL_KEYS, DAILY_ALL_KEYS];

/** The primary key. */
export const keyOf = ({ unit, dimensions }: Rollup): readonly string[] => [unit, ...dimensions];
