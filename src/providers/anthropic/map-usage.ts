import { parseUsage, type UsageReport } from "../../core/usage.ts";
import { isOtherTier } from "../charges-beyond-tokens.ts";
import { toInputOnly } from "../early-usage.ts";
import { type JsonObject, readObject } from "../read-json.ts";
import { sumOfCounts } from "../sum-of-counts.ts";

/**
 * `input_tokens` does not include what was read from the cache or written to it; `output_tokens` includes thinking.
 */
export function mapUsage(usage: unknown): UsageReport {
  if (usage === undefined || usage === null) return { kind: "absent" };
  const stated = readObject(usage);
  if (!stated) return { kind: "invalid", anomaly: "NOT_AN_INTEGER" };
  const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens } = stated;
  return parseUsage({
    tokensIn: sumOfCounts([input_tokens, cache_read_input_tokens, cache_creation_input_tokens]),
    tokensOut: stated.output_tokens,
    cacheReadTokensIn: cache_read_input_tokens,
    cacheWriteTokensIn: cache_creation_input_tokens,
    reasoningTokensOut: readObject(stated.output_tokens_details)?.thinking_tokens,
  });
}

/**
 * Whether a usage tells of what only native requests ask for, and the prices of tokens do not cover. Web pages are
 * fetched for nothing.
 */
export function chargesBeyondTokens(usage: unknown): boolean {
  const { server_tool_use, cache_creation, service_tier, speed, inference_geo } = readObject(usage) ?? {};
  const uses = Object.entries(readObject(server_tool_use) ?? {});
  return (
    uses.some(([name, count]) => name !== "web_fetch_requests" && Number(count) > 0) ||
    Number(readObject(cache_creation)?.ephemeral_1h_input_tokens ?? 0) > 0 ||
    isOtherTier(service_tier) ||
    speed === "fast" ||
    inference_geo === "us"
  );
}

/** The usage of `message_start`: the input is final; of the output, which has just begun, nothing is believed. */
export function mapStartUsage(usage: unknown): UsageReport {
  const started = readObject(usage);
  if (!started) return mapUsage(usage);
  return toInputOnly(mapUsage({ ...started, output_tokens: 0, output_tokens_details: undefined }));
}

/** The usage of `message_delta` is cumulative; what it leaves out stands as `message_start` stated it. */
export function mergeUsage(started: unknown, latest: JsonObject): JsonObject {
  const stated = Object.entries(latest).filter(([, value]) => value !== null && value !== undefined);
  return { ...readObject(started), ...Object.fromEntries(stated) };
}
