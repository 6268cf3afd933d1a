import type { CostRecord } from "../core/ledger.ts";
import { parseUsd } from "../core/money.ts";
import type { UnitPrices } from "../core/price.ts";
import type { Usage } from "../core/usage.ts";
import type { SqlRow } from "./ledger-database.ts";

const TEXTS = ["request_id", "kind", "api_key_id", "provider", "model", "outcome", "error_reason"];
const MORE_TEXTS = ["usage_source", "billing_state", "price_id", "end_user"];
const TOKENS_IN = ["tokens_in", "uncached_tokens_in", "cache_read_tokens_in", "cache_write_tokens_in"];
const TOKENS_OUT = ["tokens_out", "text_tokens_out", "reasoning_tokens_out"];
const MONEY = [
  "cost_usd",
  "provider_cost_usd",
  "uncached_usd_per_million",
  "cache_read_usd_per_million",
  "cache_write_usd_per_million",
  "text_out_usd_per_million",
  "reasoning_out_usd_per_million",
];
const asText = (column: string): string => `${column}::text AS ${column}`;
const asMilliseconds = (column: string): string =>
  `(extract(epoch FROM ${column}) * 1000)::float8 AS ${column}`;

/** The columns of `cost_record` that `toCostRecord` reads, in types that both drivers return alike. */
export const RECORD_SELECT: string = [
  ...["record_id", "attempt_id", "adjustment_id", "flags", "tags"].map(asText),
  ...TEXTS,
  ...MORE_TEXTS,
  ...[...TOKENS_IN, ...TOKENS_OUT, ...MONEY].map(asText),
  "ordinal",
  "revision",
  "streamed",
  "latency_ms",
  ...["occurred_at", "recorded_at"].map(asMilliseconds),
].join(", ");

/**
 * A row of RECORD_SELECT. Texts that only this gateway writes (states, kinds) are taken as they are.
 * `recordedAt` is cut to whole milliseconds.
 */
export function toCostRecord(row: SqlRow): { readonly recordId: string; readonly record: CostRecord } {
  const text = (column: string): string => String(row[column]);
  const optional = (column: string): string | undefined => (row[column] === null ? undefined : text(column));
  const money = (column: string): bigint | undefined =>
    row[column] === null ? undefined : parseUsd(text(column));
  const record: CostRecord = {
    attemptId: text("attempt_id"),
    requestId: text("request_id"),
    ordinal: Number(row.ordinal),
    kind: text("kind") as CostRecord["kind"],
    revision: Number(row.revision),
    adjustmentId: optional("adjustment_id"),
    apiKeyId: text("api_key_id"),
    provider: text("provider"),
    model: text("model"),
    outcome: text("outcome") as CostRecord["outcome"],
    errorReason: optional("error_reason"),
    usage: toUsage(row),
    usageSource: text("usage_source") as CostRecord["usageSource"],
    billingState: text("billing_state") as CostRecord["billingState"],
    costPicoUsd: money("cost_usd"),
    providerCostPicoUsd: money("provider_cost_usd"),
    unitPrices: toUnitPrices(row),
    priceId: optional("price_id"),
    flags: JSON.parse(text("flags")) as readonly string[],
    tags: JSON.parse(text("tags")) as Readonly<Record<string, string>>,
    endUser: optional("end_user"),
    streamed: row.streamed === true,
    latencyMs: Number(row.latency_ms),
    occurredAt: new Date(Number(row.occurred_at)),
    recordedAt: new Date(Math.floor(Number(row.recorded_at))),
  };
  return { recordId: text("record_id"), record };
}

function toUsage(row: SqlRow): Usage | undefined {
  if (row.tokens_in === null || row.tokens_out === null) return undefined;
  const stated = (column: string): number | undefined =>
    row[column] === null ? undefined : Number(row[column]);
  return {
    tokensIn: Number(row.tokens_in),
    tokensOut: Number(row.tokens_out),
    uncachedTokensIn: Number(row.uncached_tokens_in),
    cacheReadTokensIn: stated("cache_read_tokens_in"),
    cacheWriteTokensIn: stated("cache_write_tokens_in"),
    textTokensOut: Number(row.text_tokens_out),
    reasoningTokensOut: stated("reasoning_tokens_out"),
  };
}

function toUnitPrices(row: SqlRow): UnitPrices | undefined {
  if (row.uncached_usd_per_million === null) return undefined;
  const perToken = (column: string): bigint => parseUsd(String(row[column])) / 1_000_000n;
  return {
    uncachedPicoUsdPerToken: perToken("uncached_usd_per_million"),
    cacheReadPicoUsdPerToken: perToken("cache_read_usd_per_million"),
    cacheWritePicoUsdPerToken: perToken("cache_write_usd_per_million"),
    textOutPicoUsdPerToken: perToken("text_out_usd_per_million"),
    reasoningOutPicoUsdPerToken: perToken("reasoning_out_usd_per_million"),
  };
}
