import { createHash } from "node:crypto";

const MAX_KNOWN = 1_000;

/** How an `authorization` value appears on the bill and in observations: `sha256:` and 12 hex digits of its hash. */
export function accountOf(authorization: string): string {
  return `sha256:${createHash("sha256").update(authorization).digest("hex").slice(0, 12)}`;
}

/** Accounts of keys, each hashed once. */
export class Accounts {
  readonly #known = new Map<string, string>();

  /** Undefined without a key. */
  of(authorization: string | undefined): string | undefined {
    if (authorization === undefined) return undefined;
    const known = this.#known.get(authorization);
    if (known !== undefined) return known;
    const account = accountOf(authorization);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(authorization, account);
    return account;
  }
}
