import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

/**
 * An API key is `gw_live_<public id>_<secret><checksum>` in base62: a public id of 12 characters, by which it is
 * looked up and named, 32 characters of secret (190.5 bits) and 6 of checksum.
 */
const KEY_PATTERN = /^gw_live_([0-9A-Za-z]{12})_[0-9A-Za-z]{32}([0-9A-Za-z]{6})$/;
const API_KEY_ID_PATTERN = /^k_[0-9A-Za-z]{12}$/;

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PUBLIC_ID_LENGTH = 12;
const SECRET_LENGTH = 32;
const CHECKSUM_LENGTH = 6;

/** A new key, and the id under which it is stored. The secret is shown once and kept nowhere. */
export interface GeneratedKey {
  /** `k_` and the public id. */
  readonly apiKeyId: string;
  /** What the caller presents. */
  readonly secret: string;
}

/** Makes a key with a public id and a secret of its own. */
export function generateKey(): GeneratedKey {
  return generateSecretFor(`k_${randomBase62(PUBLIC_ID_LENGTH)}`);
}

/** Makes another secret for the same public id: what rotation needs. */
export function generateSecretFor(apiKeyId: string): GeneratedKey {
  const body = `gw_live_${apiKeyId.slice(2)}_${randomBase62(SECRET_LENGTH)}`;
  return { apiKeyId, secret: body + checksumOf(body) };
}

/** The id of a presented key, or undefined when its form or checksum is wrong: such a key cannot exist. */
export function parseKey(presented: string): string | undefined {
  const match = KEY_PATTERN.exec(presented);
  if (!match) return undefined;
  const [, publicId, checksum] = match;
  return checksumOf(presented.slice(0, -CHECKSUM_LENGTH)) === checksum ? `k_${publicId}` : undefined;
}

/** Can this be the id of a stored key? */
export function isApiKeyId(apiKeyId: string): boolean {
  return API_KEY_ID_PATTERN.test(apiKeyId);
}

/**
 * CRC-32 finds every change within any 32 adjacent bits, so every mistyped character and every swapped pair of
 * neighbours, and fits into six base62 digits. It is no secret and need not be: it spares the database, no more.
 */
function checksumOf(body: string): string {
  let rest = crc32(body);
  let checksum = "";
  for (let digit = 0; digit < CHECKSUM_LENGTH; digit++) {
    checksum = ALPHABET.charAt(rest % 62) + checksum;
    rest = Math.floor(rest / 62);
  }
  return checksum;
}

/** Uniform: bytes from 248 upwards are thrown away, since 248 is the largest multiple of 62 in a byte. */
function randomBase62(length: number): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += ALPHABET.charAt(byte % 62);
    }
  }
  return text;
}
