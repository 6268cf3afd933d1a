import { randomBytes } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { type AuthenticatorOptions, createAuthenticator } from "../../../src/keys/authenticator.ts";
import { generateKey } from "../../../src/keys/key-format.ts";
import { createKeyService } from "../../../src/keys/key-service.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createMemoryKeyStore } from "../../support/memory-key-store.ts";
import { ADMIN, newKey } from "../../support/principals.ts";

const pepper = randomBytes(32);
let clock: ReturnType<typeof createManualClock>;
let store: ReturnType<typeof createMemoryKeyStore>;
beforeEach(() => {
  clock = createManualClock();
  store = createMemoryKeyStore();
});

const authenticator = (options: Partial<AuthenticatorOptions> = {}) =>
  createAuthenticator({ store, pepper, clock, ...options });
const service = (onChanged?: (apiKeyId: string) => void) =>
  createKeyService(store, { pepper, clock, onChanged });
const unavailable = () =>
  Promise.reject(new GatewayError("LEDGER_UNAVAILABLE", "the key store is unavailable"));

/** A store read that waits until it is let go. */
function heldBack(): () => void {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  store.beforeRead = () => held;
  return () => release();
}

describe("the cache of keys", () => {
  it("reads a key once while it is fresh", async () => {
    const { secret } = await service().create(ADMIN, newKey());
    const { authenticate } = authenticator();
    for (let i = 0; i < 100; i++) await authenticate(secret);
    expect(store.reads).toBe(1);
  });

  it("reads once for all who ask at the same time", async () => {
    const { secret } = await service().create(ADMIN, newKey());
    const { authenticate } = authenticator();
    await Promise.all(Array.from({ length: 50 }, () => authenticate(secret)));
    expect(store.reads).toBe(1);
  });

  it("reads an invented key once while its absence is fresh", async () => {
    const { authenticate } = authenticator();
    const { secret } = generateKey();
    for (let i = 0; i < 20; i++)
      await expect(authenticate(secret)).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(store.reads).toBe(1);
  });

  it("sees a revocation in the same process at once", async () => {
    const authenticate = authenticator();
    const keys = service(authenticate.forget);
    const { key, secret } = await keys.create(ADMIN, newKey());
    await authenticate.authenticate(secret);
    await keys.revoke(ADMIN, key.apiKeyId);
    await expect(authenticate.authenticate(secret)).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  it("does not bring back a key that was revoked while it was being read", async () => {
    const authenticate = authenticator();
    const { key, secret } = await service().create(ADMIN, newKey());
    const stored = store.keys.get(key.apiKeyId);
    const release = heldBack();
    // The read began before the revocation and returns what was then.
    store.find = async () => {
      await store.beforeRead();
      return stored;
    };
    const early = authenticate.authenticate(secret);
    await Promise.resolve();
    authenticate.forget(key.apiKeyId);
    release();
    await early;
    store.find = async () => undefined;
    await expect(authenticate.authenticate(secret)).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  it("sees a revocation by another process within five seconds, however busy the key is", async () => {
    const { authenticate } = authenticator();
    const { key, secret } = await service().create(ADMIN, newKey());
    await authenticate(secret);
    await service().revoke(ADMIN, key.apiKeyId);
    let refusedAfterMs: number | undefined;
    for (let ms = 0; ms < 6_000 && refusedAfterMs === undefined; ms += 100) {
      refusedAfterMs = await authenticate(secret).then(
        () => undefined,
        () => ms,
      );
      clock.advance(100);
    }
    expect(refusedAfterMs).toBeLessThanOrEqual(5_000);
  });

  it("accepts a secret that another process rotated a moment ago", async () => {
    const { authenticate } = authenticator();
    const first = await service().create(ADMIN, newKey());
    await authenticate(first.secret);
    clock.advance(300);
    const second = await service().rotate(ADMIN, first.key.apiKeyId, 60_000);
    await authenticate(second.secret);
  });

  it("renews a busy key aside, so that its requests never wait for the store", async () => {
    const { secret } = await service().create(ADMIN, newKey());
    const { authenticate } = authenticator();
    await authenticate(secret);
    heldBack();
    clock.advance(1_500);
    await authenticate(secret);
    expect(store.reads).toBe(2);
  });

  it("uses keys that it knows while the store fails, up to the bound, and at once the truth when it is back", async () => {
    const { key, secret } = await service().create(ADMIN, newKey());
    const { authenticate } = authenticator({ outageTtlMs: 60_000 });
    await authenticate(secret);
    store.beforeRead = unavailable;
    clock.advance(59_900);
    await authenticate(secret);
    clock.advance(100);
    await expect(authenticate(secret)).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
    store.beforeRead = () => Promise.resolve();
    await authenticate(secret);
    await service().revoke(ADMIN, key.apiKeyId);
    clock.advance(5_000);
    await expect(authenticate(secret)).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  it("never uses a key beyond five seconds when it may not", async () => {
    const { secret } = await service().create(ADMIN, newKey());
    const { authenticate } = authenticator({ outageTtlMs: 0 });
    await authenticate(secret);
    store.beforeRead = unavailable;
    clock.advance(4_900);
    await authenticate(secret);
    clock.advance(100);
    await expect(authenticate(secret)).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
  });

  it("neither asks nor waits for a store that is known to be away, and asks again once it is back", async () => {
    const { key, secret } = await service().create(ADMIN, newKey());
    const other = await service().create(ADMIN, newKey());
    let isAway = false;
    const { authenticate } = authenticator({ isStoreAway: () => isAway });
    await authenticate(secret);
    isAway = true;
    const release = heldBack();
    clock.advance(300_000);
    for (let i = 0; i < 50; i++) await authenticate(secret);
    await expect(authenticate(other.secret)).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
    expect(store.reads).toBe(1);

    release();
    await service().revoke(ADMIN, key.apiKeyId);
    isAway = false;
    await expect(authenticate(secret)).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    await authenticate(other.secret);
  });

  it("refuses nobody on old knowledge: a new secret or key may have been made elsewhere before the store failed", async () => {
    const { key, secret } = await service().create(ADMIN, newKey());
    const invented = generateKey().secret;
    const { authenticate } = authenticator();
    await authenticate(secret);
    await expect(authenticate(invented)).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    const rotated = await service().rotate(ADMIN, key.apiKeyId, 60_000);
    store.beforeRead = unavailable;
    clock.advance(3_000);
    for (const unknown of [rotated.secret, invented])
      await expect(authenticate(unknown)).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
    await authenticate(secret);
  });

  it("lets a key expire while the store fails", async () => {
    const expiresAt = new Date(clock.now().getTime() + 60_000);
    const { secret } = await service().create(ADMIN, newKey({ expiresAt }));
    const { authenticate } = authenticator();
    await authenticate(secret);
    store.beforeRead = unavailable;
    clock.advance(59_000);
    await authenticate(secret);
    clock.advance(1_000);
    await expect(authenticate(secret)).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
  });

  it("says that the store is unavailable for a key it does not know", async () => {
    const { secret } = await service().create(ADMIN, newKey());
    store.beforeRead = unavailable;
    await expect(authenticator().authenticate(secret)).rejects.toMatchObject({
      reason: "LEDGER_UNAVAILABLE",
    });
  });

  it("does not wait for ever for a store that hangs", async () => {
    const { secret } = await service().create(ADMIN, newKey());
    heldBack();
    const { authenticate } = authenticator({ lookupTimeoutMs: 20 });
    await expect(authenticate(secret)).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
  });

  it("keeps real keys although invented ones flood it", async () => {
    const { secret } = await service().create(ADMIN, newKey());
    const { authenticate } = authenticator({ maxCacheEntries: 10 });
    await authenticate(secret);
    for (let i = 0; i < 200; i++) await authenticate(generateKey().secret).catch(() => undefined);
    const { reads } = store;
    await authenticate(secret);
    expect(store.reads).toBe(reads);
  });

  it("drops the least recently used key when it is full", async () => {
    const { authenticate } = authenticator({ maxCacheEntries: 2 });
    const made = await Promise.all([1, 2, 3].map(() => service().create(ADMIN, newKey())));
    const [a, b, c] = made.map(({ secret }) => secret);
    await authenticate(a);
    await authenticate(b);
    await authenticate(a);
    await authenticate(c);
    const { reads } = store;
    await authenticate(a);
    expect(store.reads).toBe(reads);
    await authenticate(b);
    expect(store.reads).toBe(reads + 1);
  });

  it("turns invented keys away when too many are being looked up", async () => {
    const release = heldBack();
    const { authenticate } = authenticator({ maxConcurrentLookups: 5 });
    const results = Array.from({ length: 8 }, () =>
      authenticate(generateKey().secret).catch((error: unknown) => error),
    );
    release();
    const reasons = (await Promise.all(results)).map((error) =>
      error instanceof GatewayError ? error.reason : error,
    );
    expect(reasons.filter((reason) => reason === "OVERLOADED")).toHaveLength(3);
    expect(store.reads).toBe(5);
  });
});
