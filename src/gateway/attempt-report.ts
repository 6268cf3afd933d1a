import type { AttemptReport } from "../core/gateway.ts";
import type { AttemptOutcome } from "../core/ledger.ts";

export function toAttemptReport(outcome: AttemptOutcome): AttemptReport {
  const { intent } = outcome;
  return {
    attemptId: intent.attemptId,
    ordinal: intent.ordinal,
    provider: intent.provider,
    model: intent.model,
    outcome: outcome.outcome,
    errorReason: outcome.errorReason,
    latencyMs: outcome.latencyMs,
    usage: outcome.usage,
    usageSource: outcome.usageSource,
    costPicoUsd: outcome.costPicoUsd,
    priceId: outcome.unitPrices ? intent.price?.priceId : undefined,
    billingState: outcome.billingState,
  };
}
