import { parseUsage, type UsageReport } from "../../core/usage.ts";
import { readObject } from "../read-json.ts";
import { sumOfCounts } from "../sum-of-counts.ts";

/**
 * `usageMetadata`. The prompt includes what was read from the cache, not the results of the API's own tools; the
 * candidates do not include thoughts, which are billed as output. Counts of zero are left out of the JSON, so that no
 * candidates beside a prompt are zero candidates.
 */
export function mapUsage(usageMetadata: unknown): UsageReport {
  if (usageMetadata === undefined || usageMetadata === null) return { kind: "absent" };
  const stated = readObject(usageMetadata);
  if (!stated) return { kind: "invalid", anomaly: "NOT_AN_INTEGER" };
  const tokensIn = sumOfCounts([stated.promptTokenCount, stated.toolUsePromptTokenCount]);
  const tokensOut = sumOfCounts([stated.candidatesTokenCount, stated.thoughtsTokenCount]);
  return parseUsage({
    tokensIn,
    tokensOut: tokensOut === undefined && tokensIn !== undefined ? 0 : tokensOut,
    cacheReadTokensIn: stated.cachedContentTokenCount,
    reasoningTokensOut: stated.thoughtsTokenCount,
  });
}
