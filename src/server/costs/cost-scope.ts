import { GatewayError } from "../../core/errors.ts";
import { hasRole, type Principal } from "../../core/keys.ts";
import type { CostFilter } from "../../core/ledger.ts";
import { Violations } from "../convert/violations.ts";

/** What an interval without a start reaches back from its end: 30 days. */
const DEFAULT_INTERVAL_MS = 30 * 24 * 3600 * 1000;

/** The interval that a caller asks for, open ends filled in: the last 30 days before `end`, which is now. */
export function resolveInterval(
  interval: { readonly start: Date | undefined; readonly end: Date | undefined },
  now: Date,
): { readonly start: Date; readonly end: Date } {
  const end = interval.end ?? now;
  return { start: interval.start ?? new Date(end.getTime() - DEFAULT_INTERVAL_MS), end };
}

/** @throws GatewayError INVALID_REQUEST unless `start` lies before `end`; `field` is what to name */
export function checkInterval(filter: Pick<CostFilter, "start" | "end">, field: string): void {
  const violations = new Violations();
  if (filter.start.getTime() >= filter.end.getTime())
    violations.add(field, "interval.order", "must lie before the end of the interval");
  violations.throwIfAny();
}

/**
 * The filter as the caller may apply it: without the role `read_costs` only the caller's own key counts.
 * @throws GatewayError PERMISSION_DENIED when it names another key
 */
export function limitToOwnCosts(filter: CostFilter, principal: Principal): CostFilter {
  if (hasRole(principal, "read_costs")) return filter;
  if (filter.apiKeyIds.some((apiKeyId) => apiKeyId !== principal.apiKeyId))
    throw new GatewayError("PERMISSION_DENIED", "the API key may only read its own costs");
  return { ...filter, apiKeyIds: [principal.apiKeyId] };
}
