import type { CostAmounts, CostRecord } from "../../core/ledger.ts";
import { formatUsd, formatUsdPerMillionTokens } from "../../core/money.ts";
import type { UnitPrices } from "../../core/price.ts";
import { coverageShares } from "./coverage.ts";

/** Writes JSON with bigints as JSON integers of any size: `JSON.stringify` alone refuses them. */
export function stringifyExact(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "bigint" ? JSON.rawJSON(part.toString()) : part,
  );
}

/** The sums of a group: counts as integers, money as a decimal string. */
export function amountsToJson(amounts: CostAmounts) {
  return {
    requests: amounts.requests,
    attempts: amounts.attempts,
    tokens_in: amounts.tokensIn,
    tokens_out: amounts.tokensOut,
    uncached_tokens_in: amounts.uncachedTokensIn,
    cache_read_tokens_in: amounts.cacheReadTokensIn,
    cache_write_tokens_in: amounts.cacheWriteTokensIn,
    text_tokens_out: amounts.textTokensOut,
    reasoning_tokens_out: amounts.reasoningTokensOut,
    cost_usd: formatUsd(amounts.costPicoUsd),
  };
}

/** How far the sums can be trusted: five shares that add up to the whole. */
export function coverageToJson(amounts: CostAmounts) {
  const shares = Object.entries(coverageShares(amounts)).map(([kind, { attempts, tokens, costPicoUsd }]) => [
    kind,
    { attempts, tokens, cost_usd: formatUsd(costPicoUsd) },
  ]);
  return Object.fromEntries(shares) as Record<string, unknown>;
}

/** An entry of the ledger. What is not known is null, which is not zero. */
export function recordToJson(record: CostRecord) {
  const { usage } = record;
  return {
    attempt_id: record.attemptId,
    request_id: record.requestId,
    ordinal: record.ordinal,
    kind: record.kind,
    revision: record.revision,
    adjustment_id: record.adjustmentId ?? null,
    api_key_id: record.apiKeyId,
    provider: record.provider,
    model: record.model,
    outcome: record.outcome,
    error_reason: record.errorReason ?? null,
    usage_source: record.usageSource,
    tokens_in: usage?.tokensIn ?? null,
    tokens_out: usage?.tokensOut ?? null,
    uncached_tokens_in: usage?.uncachedTokensIn ?? null,
    cache_read_tokens_in: usage?.cacheReadTokensIn ?? null,
    cache_write_tokens_in: usage?.cacheWriteTokensIn ?? null,
    text_tokens_out: usage?.textTokensOut ?? null,
    reasoning_tokens_out: usage?.reasoningTokensOut ?? null,
    billing_state: record.billingState,
    cost_usd: record.costPicoUsd === undefined ? null : formatUsd(record.costPicoUsd),
    provider_cost_usd:
      record.providerCostPicoUsd === undefined ? null : formatUsd(record.providerCostPicoUsd),
    price_id: record.priceId ?? null,
    unit_prices_usd_per_million: record.unitPrices ? unitPricesToJson(record.unitPrices) : null,
    flags: record.flags,
    tags: record.tags,
    end_user: record.endUser ?? null,
    streamed: record.streamed,
    latency_ms: record.latencyMs,
    occurred_at: record.occurredAt.toISOString(),
    recorded_at: record.recordedAt.toISOString(),
  };
}

function unitPricesToJson(prices: UnitPrices) {
  return {
    uncached_in: formatUsdPerMillionTokens(prices.uncachedPicoUsdPerToken),
    cache_read_in: formatUsdPerMillionTokens(prices.cacheReadPicoUsdPerToken),
    cache_write_in: formatUsdPerMillionTokens(prices.cacheWritePicoUsdPerToken),
    text_out: formatUsdPerMillionTokens(prices.textOutPicoUsdPerToken),
    reasoning_out: formatUsdPerMillionTokens(prices.reasoningOutPicoUsdPerToken),
  };
}

declare global {
  interface JSON {
    /** A value that is written as it stands (ECMAScript, JSON.parse source text access; in Node since 21). */
    rawJSON(text: string): object;
  }
}
