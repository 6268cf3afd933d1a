import { type Clock, systemClock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Admission, LimitStatus, Principal, RateLimiter, RateLimitStatus } from "../core/keys.ts";
import type { CounterStore, Reservation, Take } from "./counter-store.ts";
import { createMemoryCounterStore } from "./memory-counter-store.ts";

const WINDOW_MS = 60_000;
/** Nobody knows when a running request ends; this is what a caller at its concurrency limit is told to wait. */
const CONCURRENCY_RETRY_AFTER_MS = 1_000;

export interface RateLimiterOptions {
  readonly clock?: Clock | undefined;
  /** Default: in the memory of this process. */
  readonly counters?: CounterStore | undefined;
}

type QuotaId = "max_concurrent" | "requests_per_minute" | "tokens_per_minute";

interface Quota extends Take {
  readonly quotaId: QuotaId;
}

const DESCRIPTIONS: Readonly<Record<QuotaId, string>> = {
  max_concurrent: "requests at the same time",
  requests_per_minute: "requests per minute",
  tokens_per_minute: "tokens per minute",
};

/**
 * Limits per API key: requests per minute, tokens per minute (an estimate is taken at admission and corrected at
 * release) and requests at the same time. A request takes its place in all of them or in none.
 */
export function createRateLimiter(options: RateLimiterOptions = {}): RateLimiter {
  const { clock = systemClock } = options;
  const counters = options.counters ?? createMemoryCounterStore({ clock, windowMs: WINDOW_MS });
  return {
    async admit(principal, estimatedTokens) {
      const quotas = quotasOf(principal, wholeTokens(estimatedTokens));
      if (quotas.length === 0) return UNLIMITED;
      const impossible = quotas.find(({ amount, limit }) => amount > limit);
      if (impossible) throw tooLarge(principal, impossible);

      const reservation = await counters.reserve(quotas);
      if (!reservation.granted)
        throw limited(principal, quotas[reservation.refusedIndex], reservation.retryAfterMs);
      return createAdmission(quotas, reservation);
    },
  };
}

const UNLIMITED: Admission = { release: () => undefined };

function quotasOf({ apiKeyId, limits }: Principal, tokens: number): readonly Quota[] {
  const quotas: Quota[] = [];
  const add = (quotaId: QuotaId, kind: Take["kind"], amount: number, limit: number | undefined): void => {
    if (limit !== undefined) quotas.push({ quotaId, counter: `${apiKeyId}:${quotaId}`, kind, amount, limit });
  };
  add("max_concurrent", "held", 1, limits.maxConcurrent);
  add("requests_per_minute", "window", 1, limits.requestsPerMinute);
  add("tokens_per_minute", "window", tokens, limits.tokensPerMinute);
  return quotas;
}

type Granted = Extract<Reservation, { granted: true }>;

function statusOf(quotas: readonly Quota[], { used, resetMs }: Granted): RateLimitStatus {
  const find = (quotaId: QuotaId): LimitStatus | undefined => {
    const index = quotas.findIndex((quota) => quota.quotaId === quotaId);
    const quota = quotas[index];
    return quota && { limit: quota.limit, remaining: quota.limit - (used[index] ?? 0), resetMs };
  };
  return { requests: find("requests_per_minute"), tokens: find("tokens_per_minute") };
}

function createAdmission(quotas: readonly Quota[], granted: Granted): Admission {
  const { correct } = granted;
  let released = false;
  return {
    limits: statusOf(quotas, granted),
    release(actualTokens) {
      if (released) return;
      released = true;
      for (const [index, { quotaId }] of quotas.entries()) {
        const amount =
          quotaId === "max_concurrent" ? 0 : quotaId === "tokens_per_minute" ? wholeTokens(actualTokens) : 1;
        // Nobody waits for a release, and a shared store that fails here has given the place back by its lease.
        correct(index, amount).catch(() => undefined);
      }
    },
  };
}

function wholeTokens(tokens: number): number {
  if (!Number.isFinite(tokens) || tokens < 0) throw new RangeError(`not a count of tokens: ${tokens}`);
  return Math.ceil(tokens);
}

function limited(
  principal: Principal,
  quota: Quota | undefined,
  retryAfterMs: number | undefined,
): GatewayError {
  if (!quota) throw new RangeError("the counter store refused a take that it was not asked for");
  const description = `the limit of ${quota.limit} ${DESCRIPTIONS[quota.quotaId]} is used up`;
  return new GatewayError("RATE_LIMITED", description, {
    retryAfterMs: retryAfterMs ?? CONCURRENCY_RETRY_AFTER_MS,
    quotaViolations: [violation(principal, quota, description)],
  });
}

/** No `retryAfterMs`: waiting does not help a request that is larger than its whole limit. */
function tooLarge(principal: Principal, quota: Quota): GatewayError {
  const description =
    `the request may use ${quota.amount} ${DESCRIPTIONS[quota.quotaId]}, more than the whole limit of ${quota.limit}; ` +
    "it can never be admitted: send less input or ask for fewer output tokens";
  return new GatewayError("RATE_LIMITED", description, {
    quotaViolations: [violation(principal, quota, description)],
  });
}

function violation({ apiKeyId }: Principal, { quotaId, limit }: Quota, description: string) {
  return { subject: `api_key:${apiKeyId}`, description, quotaId, quotaValue: limit };
}
