import type { GatewayError } from "../../core/errors.ts";
import type { LimitStatus, RateLimitStatus } from "../../core/keys.ts";
import { type LimitKind, type RefusedLimit, refusedLimits } from "../compatible/refused-limits.ts";

/** What is left of the key's own limits, in the headers that Anthropic has for it. */
export function rateLimitHeaders(limits: RateLimitStatus, now: Date): Record<string, string> {
  const headers: Record<string, string> = {};
  if (limits.requests) add(headers, "requests", limits.requests, now);
  if (limits.tokens) add(headers, "tokens", limits.tokens, now);
  return headers;
}

/** The same for a request that was refused for a limit. */
export function refusedLimitHeaders(error: GatewayError, now: Date): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const limit of refusedLimits(error)) add(headers, limit.kind, limit, now);
  return headers;
}

function add(
  headers: Record<string, string>,
  kind: LimitKind,
  status: LimitStatus | RefusedLimit,
  now: Date,
): void {
  const prefix = `anthropic-ratelimit-${kind}`;
  headers[`${prefix}-limit`] = String(status.limit);
  if (status.remaining !== undefined) headers[`${prefix}-remaining`] = String(status.remaining);
  headers[`${prefix}-reset`] = toInstant(now.getTime() + status.resetMs);
}

/** RFC 3339 in whole seconds, as Anthropic writes it; rounded up, for earlier it is not there yet. */
function toInstant(ms: number): string {
  return new Date(Math.ceil(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
}
