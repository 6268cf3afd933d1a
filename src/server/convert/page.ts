/** What `page_size` 0 means. */
export const DEFAULT_PAGE_SIZE = 100;
/** What larger page sizes are cut to. */
export const MAX_PAGE_SIZE = 1000;

/** The page size that counts (AIP-158). Negative ones were refused by validation. */
export function effectivePageSize(pageSize: number): number {
  return pageSize <= 0 ? DEFAULT_PAGE_SIZE : Math.min(pageSize, MAX_PAGE_SIZE);
}

/** An empty token is none. */
export function effectivePageToken(pageToken: string): string | undefined {
  return pageToken === "" ? undefined : pageToken;
}
