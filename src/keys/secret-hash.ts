import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";

const MIN_PEPPER_BYTES = 16;

/** HMAC-SHA-256 of a secret under the pepper. */
export interface SecretHasher {
  hash(secret: string): Uint8Array;
}

/**
 * Keys hold 190 random bits, so one HMAC (1.6 µs) is as strong as a slow password hash and no lever for denial of
 * service. The pepper lies outside the database: a stolen table alone allows not even a guess.
 * @throws RangeError when the pepper has fewer than 16 bytes: an empty one would make hashes that anybody can forge.
 */
export function createSecretHasher(pepper: Uint8Array): SecretHasher {
  if (pepper.byteLength < MIN_PEPPER_BYTES) {
    throw new RangeError(`the key pepper must have at least ${MIN_PEPPER_BYTES} bytes`);
  }
  const pepperKey = createSecretKey(pepper);
  return { hash: (secret) => createHmac("sha256", pepperKey).update(secret).digest() };
}

/** Compares two hashes in constant time. */
export function equalHashes(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
