import { formatUsd } from "./core/money.ts";
import type { CostsAdjusted } from "./gateway/adjust-costs.ts";
import type { Log } from "./telemetry/log.ts";

/** The line of an adjustment; the reason is in the audit table, since a caller's words are not for the log. */
export function logAdjustment(log: Pick<Log, "info">, { apiKeyId, request, result }: CostsAdjusted): void {
  const { source, filter } = request;
  log.info("costs_adjusted", {
    adjustment_id: result.adjustmentId ?? "",
    request_id: result.requestId,
    api_key_id: apiKeyId,
    dry_run: request.dryRun,
    scope: request.scope,
    source: source.kind,
    ...(source.kind === "explicit" ? { provider: source.provider, model: source.model } : {}),
    start: filter.start.toISOString(),
    end: filter.end.toISOString(),
    complete: result.complete,
    examined: String(result.examined),
    adjusted: String(result.adjusted),
    unchanged: String(result.unchanged),
    still_unpriced: String(result.stillUnpriced),
    cost_before_usd: formatUsd(result.costBeforePicoUsd),
    cost_after_usd: formatUsd(result.costAfterPicoUsd),
  });
}
