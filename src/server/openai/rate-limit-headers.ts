import type { GatewayError } from "../../core/errors.ts";
import type { LimitStatus, RateLimitStatus } from "../../core/keys.ts";

/** What is left of the key's own limits, in the headers that OpenAI has for it. */
export function rateLimitHeaders(limits: RateLimitStatus): Record<string, string> {
  const headers: Record<string, string> = {};
  if (limits.requests) add(headers, "requests", limits.requests);
  if (limits.tokens) add(headers, "tokens", limits.tokens);
  return headers;
}

const KIND_OF_QUOTA: ReadonlyMap<string, string> = new Map([
  ["requests_per_minute", "requests"],
  ["tokens_per_minute", "tokens"],
]);

/** The same for a request that was refused for a limit. */
export function refusedLimitHeaders({ quotaViolations, retryAfterMs }: GatewayError): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { quotaId, quotaValue } of quotaViolations) {
    const kind = KIND_OF_QUOTA.get(quotaId);
    if (!kind || retryAfterMs === undefined) continue;
    // Some tokens may be left, only not enough.
    const remaining = kind === "requests" ? 0 : undefined;
    add(headers, kind, { limit: quotaValue, remaining, resetMs: retryAfterMs });
  }
  return headers;
}

interface Status extends Omit<LimitStatus, "remaining"> {
  readonly remaining: number | undefined;
}

function add(headers: Record<string, string>, kind: string, status: Status): void {
  headers[`x-ratelimit-limit-${kind}`] = String(status.limit);
  if (status.remaining !== undefined) headers[`x-ratelimit-remaining-${kind}`] = String(status.remaining);
  headers[`x-ratelimit-reset-${kind}`] = formatDuration(status.resetMs);
}

/** As OpenAI writes it: `7ms`, `1.25s`. */
function formatDuration(ms: number): string {
  return ms < 1000 ? `${Math.ceil(ms)}ms` : `${Math.ceil(ms) / 1000}s`;
}
