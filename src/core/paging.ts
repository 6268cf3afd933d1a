import { GatewayError } from "./errors.ts";

/** Entries of a page when the caller does not say. */
export const DEFAULT_PAGE_SIZE = 100;
/** A larger page size means this one. */
export const MAX_PAGE_SIZE = 1_000;

/**
 * AIP-158: zero means the default, too much means the maximum.
 * @throws GatewayError INVALID_REQUEST when negative or no whole number
 */
export function effectivePageSize(pageSize: number): number {
  if (!Number.isInteger(pageSize) || pageSize < 0) {
    throw new GatewayError("INVALID_REQUEST", "the page size is not valid", {
      fieldViolations: [{ field: "page_size", description: "must be a whole number and not negative" }],
    });
  }
  return pageSize === 0 ? DEFAULT_PAGE_SIZE : Math.min(pageSize, MAX_PAGE_SIZE);
}
