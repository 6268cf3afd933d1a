import { parseUsage, type UsageReport } from "../../core/usage.ts";
import { type JsonObject, readObject } from "../read-json.ts";
import { sumOfCounts } from "../sum-of-counts.ts";
import type { OpenAiChatProfile } from "./profile.ts";

/**
 * The `usage` of an answer or a chunk. Totals are inclusive and details are subsets of them. Rejected prediction
 * tokens are part of `completion_tokens` and stay there: they are billed as output.
 */
export function mapUsage(usage: unknown, profile: OpenAiChatProfile): UsageReport {
  if (usage === undefined || usage === null) return { kind: "absent" };
  const stated = readObject(usage);
  if (!stated) return { kind: "invalid", anomaly: "NOT_AN_INTEGER" };
  const promptDetails = readObject(stated.prompt_tokens_details);
  const completionDetails = readObject(stated.completion_tokens_details);
  const reasoningTokensOut = completionDetails?.reasoning_tokens;
  const report = parseUsage({
    tokensIn: stated.prompt_tokens,
    tokensOut:
      profile.reasoningMayBeExtra && isExtra(stated, reasoningTokensOut)
        ? sumOfCounts([stated.completion_tokens, reasoningTokensOut])
        : stated.completion_tokens,
    cacheReadTokensIn:
      profile.cacheUsage === "prompt_cache_hit_tokens"
        ? (stated.prompt_cache_hit_tokens ?? promptDetails?.cached_tokens)
        : promptDetails?.cached_tokens,
    cacheWriteTokensIn: promptDetails?.cache_write_tokens,
    reasoningTokensOut,
  });
  if (profile.cacheUsage !== "prompt_cache_hit_tokens" || report.kind !== "reported") return report;
  // DeepSeek: prompt_tokens = hit + miss. Uncached tokens are counted as the rest, so misses only confirm it.
  const missTokens = stated.prompt_cache_miss_tokens;
  if (missTokens === undefined || missTokens === null) return report;
  if (typeof missTokens !== "number" || !Number.isSafeInteger(missTokens)) {
    return { kind: "invalid", anomaly: "NOT_AN_INTEGER" };
  }
  if (missTokens < 0) return { kind: "invalid", anomaly: "NEGATIVE" };
  const cacheTokens = missTokens + (report.usage.cacheReadTokensIn ?? 0);
  return cacheTokens > report.usage.tokensIn ? { kind: "invalid", anomaly: "CACHE_EXCEEDS_INPUT" } : report;
}

/** Whether the total says that the reasoning is not part of the completion. */
function isExtra(stated: JsonObject, reasoningTokens: unknown): boolean {
  const extra = sumOfCounts([stated.prompt_tokens, stated.completion_tokens, reasoningTokens]);
  return reasoningTokens !== undefined && stated.total_tokens === extra;
}
