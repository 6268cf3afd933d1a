import type { AttemptReport } from "./gateway.ts";
import type { UsageSource } from "./ledger.ts";
import type { PicoUsd } from "./money.ts";
import type { Usage } from "./usage.ts";

/** What all attempts of a request used and cost together. */
export interface AttemptTotals {
  /** Undefined when no attempt has a usage. An optional bucket is set once any attempt stated it. */
  readonly usage: Usage | undefined;
  /** `estimated` as soon as a part is; `none` exactly when there is no usage. */
  readonly usageSource: UsageSource;
  /** Undefined when no attempt has a known cost. */
  readonly costPicoUsd: PicoUsd | undefined;
  /** The price version, when all priced attempts share one. */
  readonly priceId: string | undefined;
  /** True when a part of the cost rests on an estimate of the tokens. */
  readonly estimated: boolean;
  /** True when a part of the tokens has no price, so that the cost lacks it. */
  readonly unpriced: boolean;
}

/** Sums the attempts of one request. Exact: tokens are integers and money is picodollars. */
export function totalAttempts(attempts: readonly AttemptReport[]): AttemptTotals {
  let usage: Usage | undefined;
  let costPicoUsd: PicoUsd | undefined;
  let usageEstimated = false;
  let estimated = false;
  let unpriced = false;
  let priceId: string | undefined;
  let pricesDiffer = false;
  for (const attempt of attempts) {
    if (attempt.usage) {
      usage = usage ? addUsage(usage, attempt.usage) : attempt.usage;
      if (attempt.usageSource === "estimated") usageEstimated = true;
    }
    if (attempt.costPicoUsd !== undefined) {
      costPicoUsd = (costPicoUsd ?? 0n) + attempt.costPicoUsd;
      if (isEstimated(attempt)) estimated = true;
      if (attempt.priceId !== undefined && attempt.billingState !== "not_billed") {
        priceId ??= attempt.priceId;
        if (attempt.priceId !== priceId) pricesDiffer = true;
      }
    }
    if (lacksPrice(attempt)) unpriced = true;
  }
  return {
    usage,
    usageSource: usage === undefined ? "none" : usageEstimated ? "estimated" : "reported",
    costPicoUsd,
    priceId: pricesDiffer ? undefined : priceId,
    estimated,
    unpriced,
  };
}

/** The cost of one attempt rests on an estimate. */
export function isEstimated(
  attempt: Pick<AttemptReport, "usageSource" | "billingState" | "costPicoUsd">,
): boolean {
  return (
    attempt.costPicoUsd !== undefined &&
    (attempt.usageSource === "estimated" || attempt.billingState === "unknown")
  );
}

/** The attempt may have cost something that no price was found for. */
export function lacksPrice(attempt: Pick<AttemptReport, "billingState" | "costPicoUsd">): boolean {
  return (
    attempt.billingState === "unpriced" ||
    (attempt.billingState === "unknown" && attempt.costPicoUsd === undefined)
  );
}

function addUsage(a: Usage, b: Usage): Usage {
  return {
    tokensIn: a.tokensIn + b.tokensIn,
    tokensOut: a.tokensOut + b.tokensOut,
    uncachedTokensIn: a.uncachedTokensIn + b.uncachedTokensIn,
    cacheReadTokensIn: addStated(a.cacheReadTokensIn, b.cacheReadTokensIn),
    cacheWriteTokensIn: addStated(a.cacheWriteTokensIn, b.cacheWriteTokensIn),
    textTokensOut: a.textTokensOut + b.textTokensOut,
    reasoningTokensOut: addStated(a.reasoningTokensOut, b.reasoningTokensOut),
  };
}

function addStated(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}
