import type { CostAmounts } from "../core/ledger.ts";
import { parseUsd } from "../core/money.ts";
import type { SqlRow } from "./ledger-database.ts";

/** One sum of a report: its column in `cost_rollup_hourly`, and how a single entry contributes to it. */
interface Amount {
  readonly column: string;
  /** Fixed SQL over the columns of `cost_record`. */
  readonly ofRecord: string;
}

/**
 * Every entry is in exactly one of five states, so the counters sum to `attempts`. A reversal takes back what the
 * entry before it counted: its tokens and its cost are stored negative, and it counts -1 in that entry's state, so
 * that plain addition leaves the entry in force. A settled entry without usage cannot be right, and counts as unknown.
 */
const COUNT = "CASE kind WHEN 'reversal' THEN -1 ELSE 1 END";
const REPORTED = "billing_state = 'settled' AND usage_source = 'reported'";
const ESTIMATED = "billing_state = 'settled' AND usage_source = 'estimated'";
const UNPRICED = "billing_state = 'unpriced'";
const NOT_BILLED = "billing_state = 'not_billed'";
const UNKNOWN = "(billing_state = 'unknown' OR billing_state = 'settled' AND usage_source = 'none')";
const ALL_TOKENS = "coalesce(tokens_in, 0) + coalesce(tokens_out, 0)";
const COST = "coalesce(cost_usd, 0)";

const countIf = (column: string, condition: string): Amount => ({
  column,
  ofRecord: `CASE WHEN ${condition} THEN ${COUNT} ELSE 0 END`,
});
const sumIf = (column: string, condition: string, value: string): Amount => ({
  column,
  ofRecord: `CASE WHEN ${condition} THEN ${value} ELSE 0 END`,
});
const sumOf = (column: string): Amount => ({ column, ofRecord: `coalesce(${column}, 0)` });

/** All sums over attempts. `requests` is not among them: it is counted from `request_log`. */
export const ATTEMPT_AMOUNTS: readonly Amount[] = [
  countIf("attempts", "true"),
  ...["tokens_in", "tokens_out", "uncached_tokens_in", "cache_read_tokens_in", "cache_write_tokens_in"].map(
    sumOf,
  ),
  ...["text_tokens_out", "reasoning_tokens_out", "cost_usd"].map(sumOf),
  countIf("reported_attempts", REPORTED),
  countIf("estimated_attempts", ESTIMATED),
  countIf("unpriced_attempts", UNPRICED),
  countIf("not_billed_attempts", NOT_BILLED),
  countIf("unknown_attempts", UNKNOWN),
  sumIf("estimated_tokens", ESTIMATED, ALL_TOKENS),
  sumIf("unpriced_tokens", UNPRICED, ALL_TOKENS),
  sumIf("unknown_tokens", UNKNOWN, ALL_TOKENS),
  sumIf("estimated_cost_usd", ESTIMATED, COST),
  sumIf("unknown_cost_usd", UNKNOWN, COST),
];

/** The columns of every sum, in one order. */
export const AMOUNT_COLUMNS: readonly string[] = [
  "requests",
  ...ATTEMPT_AMOUNTS.map((amount) => amount.column),
];

/** A request that never reached a provider is no request of a report. */
export const COUNTED_REQUEST = "attempts > 0";

/** Sums of a row whose amount columns were cast to text. */
export function toAmounts(row: SqlRow): CostAmounts {
  const count = (column: string): bigint => BigInt(textOf(row, column));
  const money = (column: string): bigint => parseUsd(textOf(row, column));
  return {
    requests: count("requests"),
    attempts: count("attempts"),
    tokensIn: count("tokens_in"),
    tokensOut: count("tokens_out"),
    uncachedTokensIn: count("uncached_tokens_in"),
    cacheReadTokensIn: count("cache_read_tokens_in"),
    cacheWriteTokensIn: count("cache_write_tokens_in"),
    textTokensOut: count("text_tokens_out"),
    reasoningTokensOut: count("reasoning_tokens_out"),
    costPicoUsd: money("cost_usd"),
    coverage: {
      reportedAttempts: count("reported_attempts"),
      estimatedAttempts: count("estimated_attempts"),
      unpricedAttempts: count("unpriced_attempts"),
      notBilledAttempts: count("not_billed_attempts"),
      unknownAttempts: count("unknown_attempts"),
      estimatedTokens: count("estimated_tokens"),
      unpricedTokens: count("unpriced_tokens"),
      unknownTokens: count("unknown_tokens"),
      estimatedCostPicoUsd: money("estimated_cost_usd"),
      unknownCostPicoUsd: money("unknown_cost_usd"),
    },
  };
}

function textOf(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new TypeError(`the database did not return ${column} as text`);
  return value;
}

/** The exact sum of all rows. */
export function sumAmounts(rows: readonly CostAmounts[]): CostAmounts {
  const sum = (of: (amounts: CostAmounts) => bigint): bigint =>
    rows.reduce((total, row) => total + of(row), 0n);
  return {
    requests: sum((row) => row.requests),
    attempts: sum((row) => row.attempts),
    tokensIn: sum((row) => row.tokensIn),
    tokensOut: sum((row) => row.tokensOut),
    uncachedTokensIn: sum((row) => row.uncachedTokensIn),
    cacheReadTokensIn: sum((row) => row.cacheReadTokensIn),
    cacheWriteTokensIn: sum((row) => row.cacheWriteTokensIn),
    textTokensOut: sum((row) => row.textTokensOut),
    reasoningTokensOut: sum((row) => row.reasoningTokensOut),
    costPicoUsd: sum((row) => row.costPicoUsd),
    coverage: {
      reportedAttempts: sum((row) => row.coverage.reportedAttempts),
      estimatedAttempts: sum((row) => row.coverage.estimatedAttempts),
      unpricedAttempts: sum((row) => row.coverage.unpricedAttempts),
      notBilledAttempts: sum((row) => row.coverage.notBilledAttempts),
      unknownAttempts: sum((row) => row.coverage.unknownAttempts),
      estimatedTokens: sum((row) => row.coverage.estimatedTokens),
      unpricedTokens: sum((row) => row.coverage.unpricedTokens),
      unknownTokens: sum((row) => row.coverage.unknownTokens),
      estimatedCostPicoUsd: sum((row) => row.coverage.estimatedCostPicoUsd),
      unknownCostPicoUsd: sum((row) => row.coverage.unknownCostPicoUsd),
    },
  };
}
