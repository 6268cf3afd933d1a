import type { GatewayError } from "../../core/errors.ts";
import type { LimitStatus, RateLimitStatus } from "../../core/keys.ts";
import { type LimitKind, type RefusedLimit, refusedLimits } from "../compatible/refused-limits.ts";

/** What is left of the key's own limits, in the headers that OpenAI has for it. */
export function rateLimitHeaders(limits: RateLimitStatus): Record<string, string> {
  const headers: Record<string, string> = {};
  if (limits.requests) add(headers, "requests", limits.requests);
  if (limits.tokens) add(headers, "tokens", limits.tokens);
  return headers;
}

/** The same for a request that was refused for a limit. */
export function refusedLimitHeaders(error: GatewayError): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const limit of refusedLimits(error)) add(headers, limit.kind, limit);
  return headers;
}

function namesOf(kind: LimitKind) {
  return {
    limit: `x-ratelimit-limit-${kind}`,
    remaining: `x-ratelimit-remaining-${kind}`,
    reset: `x-ratelimit-reset-${kind}`,
  };
}

const NAMES = { requests: namesOf("requests"), tokens: namesOf("tokens") } as const satisfies Record<
  LimitKind,
  object
>;

function add(headers: Record<string, string>, kind: LimitKind, status: LimitStatus | RefusedLimit): void {
  const names = NAMES[kind];
  headers[names.limit] = String(status.limit);
  if (status.remaining !== undefined) headers[names.remaining] = String(status.remaining);
  headers[names.reset] = formatDuration(status.resetMs);
}

/** As OpenAI writes it: `7ms`, `1.25s`. */
function formatDuration(ms: number): string {
  return ms < 1000 ? `${Math.ceil(ms)}ms` : `${Math.ceil(ms) / 1000}s`;
}
