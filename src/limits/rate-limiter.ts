import { type Clock, systemClock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Admission, LimitStatus, Principal, RateLimiter, RateLimitStatus } from "../core/keys.ts";
import type { CounterStore, LimitedCounter, Reservation } from "./counter-store.ts";
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

interface Quota extends LimitedCounter {
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
  // Requests of one key share their principal for a while.
  const known = new WeakMap<Principal, readonly Quota[]>();
  const quotasFor = (principal: Principal): readonly Quota[] => {
    const found = known.get(principal);
    if (found) return found;
    const quotas = quotasOf(principal);
    known.set(principal, quotas);
    return quotas;
  };
  return {
    async admit(principal, estimatedTokens) {
      const quotas = quotasFor(principal);
      if (quotas.length === 0) return UNLIMITED;
      const amounts = amountsOf(quotas, wholeTokens(estimatedTokens), 1);
      for (const [index, quota] of quotas.entries()) {
        const amount = amounts[index] ?? 0;
        if (amount > quota.limit) throw tooLarge(principal, quota, amount);
      }

      const reservation = await counters.reserve(quotas, amounts);
      if (!reservation.granted)
        throw limited(principal, quotas[reservation.refusedIndex], reservation.retryAfterMs);
      return createAdmission(quotas, reservation);
    },
  };
}

const UNLIMITED: Admission = { release: () => undefined };

function quotasOf({ apiKeyId, limits }: Principal): readonly Quota[] {
  const quotas: Quota[] = [];
  const add = (quotaId: QuotaId, kind: Quota["kind"], limit: number | undefined): void => {
    if (limit !== undefined) quotas.push({ quotaId, name: `${apiKeyId}:${quotaId}`, kind, limit });
  };
  add("max_concurrent", "held", limits.maxConcurrent);
  add("requests_per_minute", "window", limits.requestsPerMinute);
  add("tokens_per_minute", "window", limits.tokensPerMinute);
  return quotas;
}

/** What a request takes of each; when it is over it holds no place. */
const amountsOf = (quotas: readonly Quota[], tokens: number, places: 0 | 1): readonly number[] =>
  quotas.map(({ quotaId }) => {
    if (quotaId === "tokens_per_minute") return tokens;
    return quotaId === "max_concurrent" ? places : 1;
  });

type Granted = Extract<Reservation, { granted: true }>;

function statusOf(quotas: readonly Quota[], { used, resetMs }: Granted): RateLimitStatus {
  let requests: LimitStatus | undefined;
  let tokens: LimitStatus | undefined;
  quotas.forEach(({ quotaId, limit }, index) => {
    const status = { limit, remaining: limit - (used[index] ?? 0), resetMs };
    if (quotaId === "requests_per_minute") requests = status;
    else if (quotaId === "tokens_per_minute") tokens = status;
  });
  return { requests, tokens };
}

function createAdmission(quotas: readonly Quota[], granted: Granted): Admission {
  let released = false;
  return {
    limits: statusOf(quotas, granted),
    release(actualTokens) {
      if (released) return;
      released = true;
      // Nobody waits for a release, and a shared store that fails here has given the place back by its lease.
      granted.correct(amountsOf(quotas, wholeTokens(actualTokens), 0)).catch(() => undefined);
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
function tooLarge(principal: Principal, quota: Quota, amount: number): GatewayError {
  const description =
    `the request may use ${amount} ${DESCRIPTIONS[quota.quotaId]}, more than the whole limit of ${quota.limit}; ` +
    "it can never be admitted: send less input or ask for fewer output tokens";
  return new GatewayError("RATE_LIMITED", description, {
    quotaViolations: [violation(principal, quota, description)],
  });
}

function violation({ apiKeyId }: Principal, { quotaId, limit }: Quota, description: string) {
  return { subject: `api_key:${apiKeyId}`, description, quotaId, quotaValue: limit };
}
