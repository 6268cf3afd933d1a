import type { GatewayError } from "../../core/errors.ts";
import type { LimitStatus } from "../../core/keys.ts";

/** Which limit of a key, in the words of the headers that providers have for theirs. */
export type LimitKind = "requests" | "tokens";

/** A limit for which a request was refused. */
export interface RefusedLimit extends Omit<LimitStatus, "remaining"> {
  readonly kind: LimitKind;
  /** Undefined when some may be left, only not enough. */
  readonly remaining: number | undefined;
}

const KIND_OF_QUOTA: ReadonlyMap<string, LimitKind> = new Map([
  ["requests_per_minute", "requests"],
  ["tokens_per_minute", "tokens"],
]);

/** The limits per minute for which a request was refused; none for any other error. */
export function refusedLimits({ quotaViolations, retryAfterMs }: GatewayError): readonly RefusedLimit[] {
  if (retryAfterMs === undefined) return [];
  return quotaViolations.flatMap(({ quotaId, quotaValue }) => {
    const kind = KIND_OF_QUOTA.get(quotaId);
    if (kind === undefined) return [];
    const remaining = kind === "requests" ? 0 : undefined;
    return [{ kind, limit: quotaValue, remaining, resetMs: retryAfterMs }];
  });
}
