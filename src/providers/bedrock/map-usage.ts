import { parseUsage, type UsageReport } from "../../core/usage.ts";
import { readObject } from "../read-json.ts";
import { sumOfCounts } from "../sum-of-counts.ts";

/** `inputTokens` does not include what was read from the cache or written to it. */
export function mapUsage(usage: unknown): UsageReport {
  if (usage === undefined || usage === null) return { kind: "absent" };
  const stated = readObject(usage);
  if (!stated) return { kind: "invalid", anomaly: "NOT_AN_INTEGER" };
  const { inputTokens, cacheReadInputTokens, cacheWriteInputTokens } = stated;
  return parseUsage({
    tokensIn: sumOfCounts([inputTokens, cacheReadInputTokens, cacheWriteInputTokens]),
    tokensOut: stated.outputTokens,
    cacheReadTokensIn: cacheReadInputTokens,
    cacheWriteTokensIn: cacheWriteInputTokens,
  });
}
