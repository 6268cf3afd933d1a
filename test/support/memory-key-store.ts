import type { KeyStore, StoredKey } from "../../src/keys/key-store.ts";

/** A key store without a database that counts its reads and can be told to fail or to wait. */
export interface MemoryKeyStore extends KeyStore {
  readonly keys: Map<string, StoredKey>;
  reads: number;
  /** Awaited before every read. */
  beforeRead: () => Promise<void>;
}

export function createMemoryKeyStore(): MemoryKeyStore {
  const keys = new Map<string, StoredKey>();
  return {
    keys,
    reads: 0,
    beforeRead: () => Promise.resolve(),
    async find(apiKeyId) {
      this.reads++;
      await this.beforeRead();
      return keys.get(apiKeyId);
    },
    async insert(stored) {
      if (keys.has(stored.key.apiKeyId)) throw new Error("duplicate key");
      keys.set(stored.key.apiKeyId, stored);
    },
    async replace(stored) {
      if (keys.get(stored.key.apiKeyId)?.revision !== stored.revision - 1) return false;
      keys.set(stored.key.apiKeyId, stored);
      return true;
    },
    async list({ after, limit, includeRevoked }) {
      const order = (stored: StoredKey) => `${stored.key.createdAt.toISOString()} ${stored.key.apiKeyId}`;
      const position = after && `${after.createdAt.toISOString()} ${after.apiKeyId}`;
      return [...keys.values()]
        .filter((stored) => includeRevoked || !stored.key.revokedAt)
        .filter((stored) => position === undefined || order(stored) < position)
        .sort((a, b) => (order(a) < order(b) ? 1 : -1))
        .slice(0, limit);
    },
  };
}
