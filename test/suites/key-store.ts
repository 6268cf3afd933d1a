import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAuthenticator } from "../../src/keys/authenticator.ts";
import { generateKey } from "../../src/keys/key-format.ts";
import { createKeyService } from "../../src/keys/key-service.ts";
import type { KeyStore, StoredKey } from "../../src/keys/key-store.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { ADMIN, newKey } from "../support/principals.ts";

const HOSTILE = [
  "' OR 1=1 --",
  "'; DROP TABLE api_key; --",
  "%",
  "_",
  "\\",
  "$1",
  "?",
  "??",
  ":name",
  "ÄÖ😀",
  '{"a":1}',
  "{}",
];

function storedKey(changes: Partial<StoredKey["key"]> = {}): StoredKey {
  return {
    key: {
      ...newKey(),
      apiKeyId: generateKey().apiKeyId,
      createdAt: new Date("2026-11-23T12:00:00.123Z"),
      revokedAt: undefined,
      ...changes,
    },
    createdBy: "admin",
    secretHash: new Uint8Array(randomBytes(32)),
    previousSecretHash: undefined,
    previousValidUntil: undefined,
    revision: 1,
  };
}

const comparable = (stored: StoredKey | undefined) =>
  stored && {
    ...stored,
    secretHash: Buffer.from(stored.secretHash).toString("hex"),
    previousSecretHash: stored.previousSecretHash && Buffer.from(stored.previousSecretHash).toString("hex"),
  };

/** What every key store must do, on every database. */
export function describeKeyStore(name: string, getStore: () => KeyStore): void {
  describe(`the key store on ${name}`, () => {
    it("gives back exactly what was stored", async () => {
      const store = getStore();
      const full: StoredKey = {
        ...storedKey({
          roles: ["invoke", "read_costs"],
          allowedModels: ["fast", "openai/gpt-5-mini"],
          limits: { requestsPerMinute: 1, tokensPerMinute: 2_147_483_647, maxConcurrent: 3 },
          tags: { team: "search", "cost.center": "47" },
          expiresAt: new Date("2027-01-01T00:00:00.001Z"),
          revokedAt: new Date("2026-12-01T00:00:00.999Z"),
        }),
        previousSecretHash: new Uint8Array(randomBytes(32)),
        previousValidUntil: new Date("2026-11-24T00:00:00.000Z"),
      };
      for (const stored of [full, storedKey()]) {
        await store.insert(stored);
        expect(comparable(await store.find(stored.key.apiKeyId))).toEqual(comparable(stored));
      }
    });

    it("keeps hostile text literally, and finds nothing by it", async () => {
      const store = getStore();
      for (const text of HOSTILE) {
        const stored = storedKey({ displayName: text, allowedModels: [text], tags: { [text]: text } });
        await store.insert(stored);
        expect((await store.find(stored.key.apiKeyId))?.key).toEqual(stored.key);
        expect(await store.find(text)).toBeUndefined();
        const after = { createdAt: new Date(0), apiKeyId: text };
        expect(await store.list({ after, limit: 10, includeRevoked: true })).toEqual([]);
      }
    });

    it("does not store the same key twice", async () => {
      const stored = storedKey();
      await getStore().insert(stored);
      await expect(getStore().insert(stored)).rejects.toThrow();
    });

    it("replaces a key only if nobody changed it in between", async () => {
      const store = getStore();
      const stored = storedKey();
      await store.insert(stored);
      const changed = (displayName: string): StoredKey => ({
        ...stored,
        key: { ...stored.key, displayName },
        revision: 2,
      });
      const results = await Promise.all(["a", "b", "c"].map((name) => store.replace(changed(name))));
      expect(results.filter(Boolean)).toHaveLength(1);
      expect((await store.find(stored.key.apiKeyId))?.revision).toBe(2);
      expect(await store.replace({ ...storedKey(), revision: 2 })).toBe(false);
    });

    it("lists newest first from a position on, without revoked keys unless asked", async () => {
      const store = getStore();
      // Far in the future, so that the keys of the other tests come after these.
      const at = (ms: number) => new Date(Date.parse("2126-01-01T00:00:00.000Z") + ms);
      const made = [0, 1, 1, 1, 2].map((ms, index) =>
        storedKey({ createdAt: at(ms), revokedAt: index === 2 ? at(9) : undefined }),
      );
      for (const stored of made) await store.insert(stored);
      const order = (a: StoredKey, b: StoredKey) =>
        b.key.createdAt.getTime() - a.key.createdAt.getTime() || (a.key.apiKeyId < b.key.apiKeyId ? 1 : -1);
      const expected = [...made].sort(order).map(({ key }) => key.apiKeyId);

      const seen: string[] = [];
      let after: { readonly createdAt: Date; readonly apiKeyId: string } | undefined;
      while (seen.length < made.length) {
        const [next] = await store.list({ after, limit: 1, includeRevoked: true });
        if (!next) break;
        seen.push(next.key.apiKeyId);
        after = next.key;
      }
      expect(seen).toEqual(expected);
      const live = await store.list({ after: undefined, limit: 4, includeRevoked: false });
      expect(live.map(({ key }) => key.apiKeyId)).toEqual(
        expected.filter((apiKeyId) => apiKeyId !== made[2]?.key.apiKeyId),
      );
    });

    it("carries a key through its whole life", async () => {
      const store = getStore();
      const clock = createManualClock();
      const pepper = randomBytes(32);
      const authenticator = createAuthenticator({ store, pepper, clock });
      const keys = createKeyService(store, { pepper, clock, onChanged: authenticator.forget });

      const first = await keys.create(ADMIN, newKey());
      const { apiKeyId } = first.key;
      expect(await authenticator.authenticate(first.secret)).toMatchObject({ apiKeyId, roles: ["invoke"] });
      const second = await keys.rotate(ADMIN, apiKeyId, 60_000);
      await authenticator.authenticate(first.secret);
      await authenticator.authenticate(second.secret);
      expect(await keys.update(ADMIN, apiKeyId, { displayName: "renamed" })).toEqual(
        await keys.get(ADMIN, apiKeyId),
      );
      await keys.revoke(ADMIN, apiKeyId);
      for (const { secret } of [first, second]) {
        await expect(authenticator.authenticate(secret)).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
      }
      const stored = JSON.stringify(comparable(await store.find(apiKeyId)));
      for (const { secret } of [first, second]) expect(stored).not.toContain(secret.slice(21, 53));
    });
  });
}
