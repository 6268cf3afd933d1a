import { type AttemptTotals, totalAttempts } from "../../core/attempt-totals.ts";
import type { ErrorReason } from "../../core/error-table.ts";
import type { AttemptReport } from "../../core/gateway.ts";
import { formatUsd } from "../../core/money.ts";

/** What the gateway adds to an answer: who gave it, after how many attempts, for how much. */
export interface Facts {
  readonly requestId: string;
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly attempts: readonly AttemptReport[];
  /** Attempts and cost are those of an earlier call with the same id. */
  readonly replayed: boolean;
  /** Why the stream failed; the words of the API may say less. */
  readonly errorReason?: ErrorReason | undefined;
}

/** Headers take visible ASCII. */
const UNPRINTABLE = /[^\x20-\x7e]/g;
const toHeader = (text: string): string => text.replace(UNPRINTABLE, "?");

/** Who answers: of a stream, that is all that is known when it begins. */
export function originHeaders(provider: string, model: string): Record<string, string> {
  return { "x-llm-gateway-provider": provider, "x-llm-gateway-model": toHeader(model) };
}

/** Says that nothing was called or charged again. */
export function replayedHeaders(replayed: boolean): Record<string, string> {
  return replayed ? { "x-llm-gateway-replayed": "true" } : {};
}

/** Names what had to be left out for a provider that speaks another dialect than its caller. */
export function ignoredHeaders(members: readonly string[]): Record<string, string> {
  return members.length === 0 ? {} : { "x-llm-gateway-ignored": members.join(", ") };
}

/** The headers of a whole answer, or of an error after attempts. */
export function factHeaders({
  provider,
  model,
  attempts,
  replayed,
}: Omit<Facts, "requestId">): Record<string, string> {
  const totals = totalAttempts(attempts);
  const headers: Record<string, string> =
    provider !== undefined && model !== undefined ? originHeaders(provider, model) : {};
  headers["x-llm-gateway-attempts"] = String(attempts.length);
  if (totals.costPicoUsd !== undefined) headers["x-llm-gateway-cost-usd"] = formatUsd(totals.costPicoUsd);
  if (totals.estimated) headers["x-llm-gateway-cost-estimated"] = "true";
  if (totals.unpriced) headers["x-llm-gateway-cost-unpriced"] = "true";
  return Object.assign(headers, replayedHeaders(replayed));
}

/** The same as JSON text, for the end of a stream. */
export function factsJson({ requestId, provider, model, attempts, replayed, errorReason }: Facts): string {
  const totals = totalAttempts(attempts);
  return JSON.stringify({
    request_id: requestId,
    provider,
    model,
    error_reason: errorReason,
    replayed: replayed || undefined,
    ...costMembers(totals),
    usage_source: totals.usageSource,
    attempts: attempts.map((attempt) => ({
      provider: attempt.provider,
      model: attempt.model,
      outcome: attempt.outcome,
      error_reason: attempt.errorReason,
      latency_ms: Math.round(attempt.latencyMs),
      billing_state: attempt.billingState,
      cost_usd: attempt.costPicoUsd === undefined ? null : formatUsd(attempt.costPicoUsd),
    })),
  });
}

function costMembers({ costPicoUsd, estimated, unpriced }: AttemptTotals) {
  return {
    cost_usd: costPicoUsd === undefined ? null : formatUsd(costPicoUsd),
    cost_estimated: estimated,
    cost_unpriced: unpriced,
  };
}
