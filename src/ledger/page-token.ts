import { createHash } from "node:crypto";
import type { CostFilter } from "../core/ledger.ts";
import { invalid } from "./filter-sql.ts";

/** Where a page ends, and what it belongs to. */
export interface PagePosition {
  /** The instant that the whole listing stands for. */
  readonly asOf: Date;
  /** The last record of the page. */
  readonly occurredAt: Date;
  readonly recordId: string;
}

const TOKEN_PATTERN = /^([\w-]{22})\.(\d{1,15})\.(\d{1,15})\.([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/;

/** An opaque token: base64url of the filter's digest and the position. It grants nothing, so it is not signed. */
export function formatPageToken(filter: CostFilter, { asOf, occurredAt, recordId }: PagePosition): string {
  const text = [digestOf(filter), asOf.getTime(), occurredAt.getTime(), recordId].join(".");
  return Buffer.from(text).toString("base64url");
}

/** @throws GatewayError INVALID_REQUEST when it is no token, or one of other filters */
export function parsePageToken(filter: CostFilter, token: string): PagePosition {
  const match = TOKEN_PATTERN.exec(Buffer.from(token, "base64url").toString());
  const [, digest, asOfMs, occurredAtMs, recordId] = match ?? [];
  if (!recordId) throw invalid("page_token", "is not one that was given out");
  if (digest !== digestOf(filter)) throw invalid("page_token", "belongs to a request with other filters");
  return { asOf: toDate(asOfMs), occurredAt: toDate(occurredAtMs), recordId };
}

function toDate(milliseconds: string | undefined): Date {
  const date = new Date(Number(milliseconds));
  if (!(date.getUTCFullYear() <= 9999)) throw invalid("page_token", "is not one that was given out");
  return date;
}

/** Equal for equal filters, whatever the order of their values. */
function digestOf(filter: CostFilter): string {
  const lists = [filter.apiKeyIds, filter.providers, filter.models, filter.endUsers].map((list) =>
    list.toSorted(),
  );
  const tags = Object.entries(filter.tags).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const interval = [filter.start, filter.end, filter.asOf].map((date) => date?.getTime() ?? null);
  return createHash("sha256")
    .update(JSON.stringify([interval, lists, tags]))
    .digest("base64url")
    .slice(0, 22);
}
