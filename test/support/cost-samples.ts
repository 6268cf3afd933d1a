import type { CostAmounts, CostRecord } from "../../src/core/ledger.ts";

/** Sums with every share of the coverage in them. */
export function costAmounts(changes: Partial<CostAmounts> = {}): CostAmounts {
  return {
    requests: 3n,
    attempts: 10n,
    tokensIn: 1000n,
    tokensOut: 500n,
    uncachedTokensIn: 900n,
    cacheReadTokensIn: 100n,
    cacheWriteTokensIn: 0n,
    textTokensOut: 400n,
    reasoningTokensOut: 100n,
    costPicoUsd: 5_000_000_000_000n,
    coverage: {
      reportedAttempts: 4n,
      estimatedAttempts: 3n,
      unpricedAttempts: 1n,
      notBilledAttempts: 1n,
      unknownAttempts: 1n,
      estimatedTokens: 200n,
      unpricedTokens: 100n,
      unknownTokens: 50n,
      estimatedCostPicoUsd: 1_000_000_000_000n,
      unknownCostPicoUsd: 500_000_000_000n,
    },
    ...changes,
  };
}

/** A stored attempt. */
export function costRecord(changes: Partial<CostRecord> = {}): CostRecord {
  return {
    attemptId: "a1",
    requestId: "r1",
    ordinal: 1,
    kind: "charge",
    revision: 0,
    adjustmentId: undefined,
    apiKeyId: "k_invoke",
    provider: "openai",
    model: "gpt-5-mini",
    outcome: "succeeded",
    errorReason: undefined,
    usage: {
      tokensIn: 12,
      tokensOut: 7,
      uncachedTokensIn: 10,
      cacheReadTokensIn: 2,
      cacheWriteTokensIn: undefined,
      textTokensOut: 7,
      reasoningTokensOut: undefined,
    },
    usageSource: "reported",
    billingState: "settled",
    costPicoUsd: 123_450_000n,
    unitPrices: {
      uncachedPicoUsdPerToken: 150_000n,
      cacheReadPicoUsdPerToken: 15_000n,
      cacheWritePicoUsdPerToken: 150_000n,
      textOutPicoUsdPerToken: 600_000n,
      reasoningOutPicoUsdPerToken: 600_000n,
    },
    priceId: "price-1",
    flags: [],
    tags: { team: "search" },
    endUser: undefined,
    streamed: false,
    latencyMs: 1234.5,
    occurredAt: new Date("2026-11-01T10:00:00.500Z"),
    recordedAt: new Date("2026-11-01T10:00:01Z"),
    ...changes,
  };
}
