import { totalAttempts } from "../../core/attempt-totals.ts";
import type { AttemptReport } from "../../core/gateway.ts";
import type { CompletionEnd } from "../../core/telemetry.ts";

/** What a completion came to, for telemetry, also of one that failed. */
export function completionEnd(
  requestedModel: string,
  attempts: readonly AttemptReport[],
  streamed: boolean,
): CompletionEnd {
  const totals = totalAttempts(attempts);
  const first = attempts[0];
  const last = attempts.at(-1);
  return {
    requestedModel,
    provider: last?.provider,
    model: last?.model,
    attempts: attempts.length,
    fellBack: attempts.some(
      (attempt) => attempt.provider !== first?.provider || attempt.model !== first?.model,
    ),
    streamed,
    tokensIn: totals.usage?.tokensIn ?? 0,
    tokensOut: totals.usage?.tokensOut ?? 0,
    costPicoUsd: totals.costPicoUsd ?? 0n,
    providerWaitMs: attempts.reduce((sum, attempt) => sum + attempt.latencyMs, 0),
  };
}
