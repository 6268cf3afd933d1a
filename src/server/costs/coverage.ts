import type { CostAmounts } from "../../core/ledger.ts";
import type { PicoUsd } from "../../core/money.ts";

/** A part of the sums. */
export interface CoverageShares {
  readonly attempts: bigint;
  readonly tokens: bigint;
  readonly costPicoUsd: PicoUsd;
}

export type CoverageKind = "reported" | "estimated" | "unpriced" | "not_billed" | "unknown";

/**
 * The sums by how certain they are. What is reported is the rest, so that the shares add up to the whole exactly;
 * what is unpriced has no cost, and what was not billed neither cost nor tokens.
 */
export function coverageShares(amounts: CostAmounts): Readonly<Record<CoverageKind, CoverageShares>> {
  const { coverage } = amounts;
  const tokens = amounts.tokensIn + amounts.tokensOut;
  return {
    reported: {
      attempts: coverage.reportedAttempts,
      tokens: tokens - coverage.estimatedTokens - coverage.unpricedTokens - coverage.unknownTokens,
      costPicoUsd: amounts.costPicoUsd - coverage.estimatedCostPicoUsd - coverage.unknownCostPicoUsd,
    },
    estimated: {
      attempts: coverage.estimatedAttempts,
      tokens: coverage.estimatedTokens,
      costPicoUsd: coverage.estimatedCostPicoUsd,
    },
    unpriced: { attempts: coverage.unpricedAttempts, tokens: coverage.unpricedTokens, costPicoUsd: 0n },
    not_billed: { attempts: coverage.notBilledAttempts, tokens: 0n, costPicoUsd: 0n },
    unknown: {
      attempts: coverage.unknownAttempts,
      tokens: coverage.unknownTokens,
      costPicoUsd: coverage.unknownCostPicoUsd,
    },
  };
}
