import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

const MAX_KNOWN = 1_000;

/** The headers that carry a key, one for each dialect. */
export const KEY_HEADERS = ["authorization", "x-api-key", "x-goog-api-key"] as const;

/** The value of the first header that carries a key: `Bearer` and the key, or the bare key. */
export function credentialIn(headers: IncomingHttpHeaders): string | undefined {
  for (const name of KEY_HEADERS) {
    const value = headers[name];
    if (typeof value === "string" && value !== "") return value;
  }
  return undefined;
}

/** How such a value appears on the bill and in observations: `sha256:` and 12 hex digits of its hash. */
export function accountOf(credential: string): string {
  return `sha256:${createHash("sha256").update(credential).digest("hex").slice(0, 12)}`;
}

/** Accounts of keys, each hashed once. */
export class Accounts {
  readonly #known = new Map<string, string>();

  /** Undefined without a key. */
  of(credential: string | undefined): string | undefined {
    if (credential === undefined) return undefined;
    const known = this.#known.get(credential);
    if (known !== undefined) return known;
    const account = accountOf(credential);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(credential, account);
    return account;
  }
}
