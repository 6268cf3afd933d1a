import type { IncomingHttpHeaders } from "node:http";
import { GatewayError } from "../../core/errors.ts";

const BEARER = /^bearer +(\S+) *$/i;

/**
 * The secret that a caller presents, as `authorization: Bearer …` or `x-api-key: …`; undefined when it presents none.
 * @throws GatewayError UNAUTHENTICATED when it presents more than one: which of them counts must not depend on
 *   which of the proxies on the way reads which.
 */
export function presentedSecret(
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
): string | undefined {
  const { authorization } = headers;
  const apiKey = headers["x-api-key"];
  if (authorization !== undefined) {
    if (countHeader(rawHeaders, "authorization") > 1) throw ambiguous();
    const bearer = BEARER.exec(authorization)?.[1];
    if (apiKey === undefined) return bearer;
    if (bearer !== apiKey) throw ambiguous();
  }
  if (apiKey === undefined) return undefined;
  if (typeof apiKey !== "string" || countHeader(rawHeaders, "x-api-key") > 1) throw ambiguous();
  return apiKey;
}

function countHeader(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const header = rawHeaders[index];
    if (header?.length === name.length && header.toLowerCase() === name) count += 1;
  }
  return count;
}

function ambiguous(): GatewayError {
  return new GatewayError("UNAUTHENTICATED", "more than one credential was sent");
}
