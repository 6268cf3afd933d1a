import { totalAttempts } from "../../core/attempt-totals.ts";
import { CompletionError, type CompletionResult } from "../../core/gateway.ts";
import type { CompletionEnd } from "../../core/telemetry.ts";

/** How a completion, or a call for embeddings, ended, as far as the attempts go. */
export type Ended = Pick<CompletionResult, "attempts" | "replayed">;

const NO_ATTEMPTS: Ended = { attempts: [], replayed: false };

/** How it failed: with which attempts, and whether that happened before. */
export function endOfFailed(error: unknown): Ended {
  return error instanceof CompletionError ? error : NO_ATTEMPTS;
}

/** What it came to, for telemetry. The attempts of an earlier call were told when they were made. */
export function completionEnd(requestedModel: string, ended: Ended, streamed: boolean): CompletionEnd {
  const { replayed } = ended;
  const attempts = replayed ? [] : ended.attempts;
  const totals = totalAttempts(attempts);
  const first = attempts.find(({ ordinal }) => ordinal === 1);
  const last = attempts.at(-1);
  return {
    requestedModel,
    provider: last?.provider,
    model: last?.model,
    attempts: attempts.length,
    fellBack: last?.provider !== first?.provider || last?.model !== first?.model,
    streamed,
    replayed,
    tokensIn: totals.usage?.tokensIn ?? 0,
    tokensOut: totals.usage?.tokensOut ?? 0,
    costPicoUsd: totals.costPicoUsd ?? 0n,
    providerWaitMs: attempts.reduce((sum, attempt) => sum + attempt.latencyMs, 0),
  };
}
