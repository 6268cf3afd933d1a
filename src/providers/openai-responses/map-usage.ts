import { parseUsage, type UsageReport } from "../../core/usage.ts";
import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { readObject } from "../read-json.ts";
import { sumOfCounts } from "../sum-of-counts.ts";

/** The `usage` of a response. Totals are inclusive and details are subsets of them. */
export function mapUsage(usage: unknown, { reasoningMayBeExtra }: OpenAiChatProfile): UsageReport {
  if (usage === undefined || usage === null) return { kind: "absent" };
  const stated = readObject(usage);
  if (!stated) return { kind: "invalid", anomaly: "NOT_AN_INTEGER" };
  const inputDetails = readObject(stated.input_tokens_details);
  const reasoningTokens = readObject(stated.output_tokens_details)?.reasoning_tokens;
  const { input_tokens: tokensIn, output_tokens: tokensOut } = stated;
  // The total says whether the reasoning is a part of the output.
  const isExtra =
    reasoningMayBeExtra && stated.total_tokens === sumOfCounts([tokensIn, tokensOut, reasoningTokens]);
  return parseUsage({
    tokensIn,
    tokensOut: isExtra ? sumOfCounts([tokensOut, reasoningTokens]) : tokensOut,
    cacheReadTokensIn: inputDetails?.cached_tokens,
    cacheWriteTokensIn: inputDetails?.cache_write_tokens,
    reasoningTokensOut: reasoningTokens,
  });
}
