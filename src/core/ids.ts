import { randomUUIDv7 } from "node:crypto";

/** A new UUIDv7: unique, and ordered by the time at which it was made. */
export function newId(): string {
  return randomUUIDv7();
}

/** At most 36 printable ASCII characters (AIP-155): what a caller may choose as a request id. */
export const REQUEST_ID_PATTERN: RegExp = /^[\x21-\x7e]{1,36}$/;
