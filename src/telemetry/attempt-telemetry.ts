import { ERROR_TABLE, type ErrorReason } from "../core/error-table.ts";
import { type AttemptOutcome, COUNT_FLAGS, HEDGE_LOST } from "../core/ledger.ts";
import { PICO_USD_PER_USD, type PicoUsd } from "../core/money.ts";
import type { AttemptTelemetry } from "../core/telemetry.ts";
import type { Metrics } from "./metrics.ts";
import type { AttemptSpan, AttemptStart } from "./tracing.ts";

export interface AttemptContext {
  readonly metrics: Metrics;
  readonly span: AttemptSpan;
  readonly attempt: AttemptStart;
  /** Label values, bounded already. */
  readonly apiKeyLabel: string;
  readonly modelLabel: string;
  /** Told the reason of a failure, so that the request does not count the same one again. */
  readonly onFailed: (reason: ErrorReason) => void;
}

/** The events of one call to a provider. */
export function createAttemptTelemetry(context: AttemptContext): AttemptTelemetry {
  const { metrics, span, attempt, modelLabel } = context;
  return {
    traceHeaders: span.traceHeaders,
    firstToken(timeToFirstTokenMs) {
      metrics.timeToFirstToken.observe(
        { provider: attempt.provider, model: modelLabel },
        timeToFirstTokenMs / 1000,
      );
      span.firstToken();
    },
    finished(outcome, toBeDrained = false) {
      countAttempt(context, outcome);
      // A counter cannot take an estimate back.
      if (!toBeDrained) countMoney(context, outcome);
      span.end(outcome);
    },
    drained(end, inForce) {
      metrics.drains.inc({ provider: attempt.provider, outcome: end });
      countMoney(context, inForce);
    },
  };
}

function countAttempt(
  { metrics, attempt, apiKeyLabel, modelLabel, onFailed }: AttemptContext,
  outcome: AttemptOutcome,
): void {
  const { provider } = attempt;
  const { errorReason } = outcome;
  const errorType = errorReason ? ERROR_TABLE[errorReason].errorType : "none";
  metrics.sums.attempts.of([provider, modelLabel, outcome.outcome, errorType]).attempts += 1;
  // Whoever lost a race has not failed.
  if (!errorReason || outcome.flags.includes(HEDGE_LOST)) return;
  metrics.errors.inc({ api_key_id: apiKeyLabel, provider, error_type: errorType });
  onFailed(errorReason);
}

function countMoney(
  { metrics, attempt, apiKeyLabel, modelLabel }: AttemptContext,
  outcome: AttemptOutcome,
): void {
  const { provider } = attempt;
  const { billingState, usageSource, costPicoUsd, usage } = outcome;
  const sums = metrics.sums.settlements.of([apiKeyLabel, provider, modelLabel, billingState, usageSource]);
  sums.settlements += 1;
  if (costPicoUsd !== undefined) {
    sums.priced += 1;
    sums.costUsd += toDisplayedUsd(costPicoUsd);
  }
  if (usage) {
    sums.uncachedTokensIn += usage.uncachedTokensIn;
    sums.cacheReadTokensIn += usage.cacheReadTokensIn ?? 0;
    sums.cacheWriteTokensIn += usage.cacheWriteTokensIn ?? 0;
    sums.textTokensOut += usage.textTokensOut;
    sums.reasoningTokensOut += usage.reasoningTokensOut ?? 0;
  }
  if (billingState === "unpriced") metrics.unpricedRecords.inc({ provider, model: modelLabel });
  for (const flag of outcome.flags) {
    if (isAnomaly(flag)) metrics.usageAnomalies.inc({ provider, anomaly: flag });
  }
}

/** The one place where money becomes a float: Prometheus knows nothing else, and nobody is billed by it. */
function toDisplayedUsd(costPicoUsd: PicoUsd): number {
  return Number(costPicoUsd) / Number(PICO_USD_PER_USD);
}

const isAnomaly = (flag: string) => !COUNT_FLAGS.some((countFlag) => countFlag === flag);
