import { GatewayError } from "../../core/errors.ts";

const TOKEN_PATTERN = /^([0-9a-z]{1,11})\.([\w-]+)$/;

/** What a page of records continues. */
export interface PageStart {
  /** What an interval without an end ends at: the instant at which the first page was asked for. */
  readonly now: Date;
  /** The ledger's own token; undefined for the first page. */
  readonly ledgerToken: string | undefined;
}

/**
 * Reads the caller's page token. All pages of a list without an end must end at the same instant; otherwise the next
 * page would belong to another interval than the one before.
 * @throws GatewayError INVALID_REQUEST when it is no token
 */
export function startPage(pageToken: string | undefined, now: Date): PageStart {
  if (!pageToken) return { now, ledgerToken: undefined };
  const [, endMs, ledgerToken] = TOKEN_PATTERN.exec(pageToken) ?? [];
  const firstNow = new Date(Number.parseInt(endMs ?? "", 36));
  if (ledgerToken !== undefined && firstNow.getUTCFullYear() <= 9999) return { now: firstNow, ledgerToken };
  const description = "is not one that was given out";
  throw new GatewayError("INVALID_REQUEST", `page_token ${description}`, {
    fieldViolations: [{ field: "page_token", description }],
  });
}

/** The token for the page after one that began at `start`; empty on the last page. */
export function nextPageToken({ now }: PageStart, ledgerToken: string | undefined): string {
  return ledgerToken === undefined ? "" : `${now.getTime().toString(36)}.${ledgerToken}`;
}
