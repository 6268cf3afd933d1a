import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

/** Encrypts what is remembered of answers: the gateway keeps nothing readable of what people say and are told. */
export interface ReplaySeal {
  seal(plain: Uint8Array, belongsTo: string): Uint8Array;
  /** Undefined when it was sealed with another key, for something else, or was changed. */
  open(sealed: Uint8Array, belongsTo: string): Uint8Array | undefined;
}

const SALT_BYTES = 16;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM. Key and nonce of each message are derived (HKDF-SHA-256) from the secret and a random salt that is
 * stored with it, so that no number of messages makes a nonce repeat under one key.
 */
export function createReplaySeal(secret: Uint8Array): ReplaySeal {
  const derive = (salt: Uint8Array) => {
    const derived = Buffer.from(hkdfSync("sha256", secret, salt, "replay", KEY_BYTES + NONCE_BYTES));
    return { key: derived.subarray(0, KEY_BYTES), nonce: derived.subarray(KEY_BYTES) };
  };
  return {
    seal(plain, belongsTo) {
      const salt = randomBytes(SALT_BYTES);
      const { key, nonce } = derive(salt);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(belongsTo));
      // A copy of its own: a part of Node's pool would take the whole pool along to the journal's thread.
      return new Uint8Array(Buffer.concat([salt, cipher.update(plain), cipher.final(), cipher.getAuthTag()]));
    },
    open(sealed, belongsTo) {
      if (sealed.byteLength < SALT_BYTES + TAG_BYTES) return undefined;
      const { key, nonce } = derive(sealed.subarray(0, SALT_BYTES));
      const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(belongsTo))
        .setAuthTag(sealed.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([decipher.update(sealed.subarray(SALT_BYTES, -TAG_BYTES)), decipher.final()]);
      } catch {
        return undefined;
      }
    },
  };
}
