import { isApiKeyId } from "./key-format.ts";
import type { KeyPosition } from "./key-store.ts";
import { invalid } from "./key-validation.ts";

/** The query that a token continues: a token serves no other (AIP-158). */
export interface ListFilter {
  readonly includeRevoked: boolean;
}

/** An opaque token for the page after `position`. */
export function formatPageToken(position: KeyPosition, filter: ListFilter): string {
  const parts = [position.createdAt.getTime(), position.apiKeyId, filter.includeRevoked];
  return Buffer.from(JSON.stringify(parts)).toString("base64url");
}

/** @throws GatewayError INVALID_REQUEST when it is no token of ours, or one for another filter */
export function parsePageToken(token: string, filter: ListFilter): KeyPosition {
  const [createdAtMs, apiKeyId, includeRevoked] = decode(token);
  const createdAt = new Date(typeof createdAtMs === "number" ? createdAtMs : Number.NaN);
  if (Number.isNaN(createdAt.getTime()) || typeof apiKeyId !== "string" || !isApiKeyId(apiKeyId)) {
    throw invalid([{ field: "page_token", description: "is not a token from an earlier page" }]);
  }
  if (includeRevoked !== filter.includeRevoked) {
    throw invalid([{ field: "page_token", description: "belongs to a list with other filters" }]);
  }
  return { createdAt, apiKeyId };
}

function decode(token: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
