import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { type AuthenticatorOptions, createAuthenticator } from "../../../src/keys/authenticator.ts";
import { generateKey } from "../../../src/keys/key-format.ts";
import { createKeyService } from "../../../src/keys/key-service.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createMemoryKeyStore } from "../../support/memory-key-store.ts";
import { ADMIN, newKey } from "../../support/principals.ts";

const pepper = randomBytes(32);
const adminKey = "an administrator key of 40 characters...";

let clock: ReturnType<typeof createManualClock>;
let store: ReturnType<typeof createMemoryKeyStore>;
beforeEach(() => {
  clock = createManualClock();
  store = createMemoryKeyStore();
});

const service = (onChanged?: (apiKeyId: string) => void) =>
  createKeyService(store, { pepper, clock, onChanged });
const authenticator = (options: Partial<AuthenticatorOptions> = {}) =>
  createAuthenticator({ store, pepper, clock, ...options });

async function refusal(work: Promise<unknown>): Promise<GatewayError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GatewayError)) throw new Error(`expected a GatewayError, got ${String(error)}`);
  return error;
}

describe("authenticating", () => {
  it("tells who presents a key", async () => {
    const { key, secret } = await service().create(ADMIN, newKey({ allowedModels: ["fast"] }));
    expect(await authenticator().authenticate(secret)).toMatchObject({
      apiKeyId: key.apiKeyId,
      roles: ["invoke"],
      allowedModels: ["fast"],
      tags: { team: "search" },
    });
  });

  it("refuses every malformed or mistyped key without a read of the store", async () => {
    const { secret } = await service().create(ADMIN, newKey());
    const { authenticate } = authenticator({ adminKey });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(secret.length - 1),
        fc.string({ maxLength: 1, unit: "binary" }),
        async (at, put) => {
          const mutated = secret.slice(0, at) + put + secret.slice(at + 1);
          if (mutated === secret) return;
          expect((await refusal(authenticate(mutated))).reason).toBe("UNAUTHENTICATED");
        },
      ),
    );
    for (const junk of [undefined, "", "x", "' OR ''='", "gw_live_%_%", "k".repeat(100_000)]) {
      expect((await refusal(authenticate(junk))).reason).toBe("UNAUTHENTICATED");
    }
    expect(store.reads).toBe(0);
  });

  it("gives one and the same message for every cause", async () => {
    const keys = service();
    const revoked = await keys.create(ADMIN, newKey());
    await keys.revoke(ADMIN, revoked.key.apiKeyId);
    const expired = await keys.create(ADMIN, newKey({ expiresAt: new Date(clock.now().getTime() + 1_000) }));
    clock.advance(1_000);
    const live = await keys.create(ADMIN, newKey());
    const otherSecret = generateKey();
    store.keys.set(otherSecret.apiKeyId, {
      ...(store.keys.get(live.key.apiKeyId) ?? expect.fail()),
      key: { ...live.key, apiKeyId: otherSecret.apiKeyId },
    });

    const { authenticate } = authenticator({ adminKey });
    const presented = [
      undefined,
      "junk",
      generateKey().secret,
      revoked.secret,
      expired.secret,
      otherSecret.secret,
    ];
    const errors = await Promise.all(presented.map((secret) => refusal(authenticate(secret))));
    expect(new Set(errors.map(({ reason, message }) => `${reason} ${message}`)).size).toBe(1);
    expect(errors[0]?.reason).toBe("UNAUTHENTICATED");
    for (const error of errors) expect(error.cause).toBeUndefined();
  });

  it("refuses an expired key from the instant of its expiry on, also when it is cached", async () => {
    const expiresAt = new Date(clock.now().getTime() + 500);
    const { secret } = await service().create(ADMIN, newKey({ expiresAt }));
    const { authenticate } = authenticator();
    await authenticate(secret);
    clock.advance(499);
    await authenticate(secret);
    clock.advance(1);
    expect((await refusal(authenticate(secret))).reason).toBe("UNAUTHENTICATED");
  });

  it("accepts the old secret during the overlap of a rotation and no longer", async () => {
    const authenticate = authenticator();
    const keys = service(authenticate.forget);
    const first = await keys.create(ADMIN, newKey());
    const second = await keys.rotate(ADMIN, first.key.apiKeyId, 10_000);
    await authenticate.authenticate(first.secret);
    await authenticate.authenticate(second.secret);
    clock.advance(10_000);
    expect((await refusal(authenticate.authenticate(first.secret))).reason).toBe("UNAUTHENTICATED");
    await authenticate.authenticate(second.secret);
  });

  it("ends an older overlap with a second rotation, so that two secrets work at most", async () => {
    const authenticate = authenticator();
    const keys = service(authenticate.forget);
    const first = await keys.create(ADMIN, newKey());
    const second = await keys.rotate(ADMIN, first.key.apiKeyId, 60_000);
    const third = await keys.rotate(ADMIN, first.key.apiKeyId, 60_000);
    expect((await refusal(authenticate.authenticate(first.secret))).reason).toBe("UNAUTHENTICATED");
    await authenticate.authenticate(second.secret);
    await authenticate.authenticate(third.secret);
  });

  it("ends the old secret at once when rotated without overlap", async () => {
    const authenticate = authenticator();
    const keys = service(authenticate.forget);
    const first = await keys.create(ADMIN, newKey());
    await authenticate.authenticate(first.secret);
    await keys.rotate(ADMIN, first.key.apiKeyId, 0);
    expect((await refusal(authenticate.authenticate(first.secret))).reason).toBe("UNAUTHENTICATED");
  });

  it("refuses a pepper that anybody could guess", () => {
    for (const bytes of [0, 15])
      expect(() => authenticator({ pepper: Buffer.alloc(bytes) })).toThrow(RangeError);
    expect(() => authenticator({ pepper: Buffer.alloc(16, 1) })).not.toThrow();
  });
});

describe("the administrator key", () => {
  it("is an administrator without a read of the store", async () => {
    const admin = await authenticator({ adminKey }).authenticate(adminKey);
    expect(admin).toMatchObject({ apiKeyId: "admin", roles: ["admin"], allowedModels: [] });
    expect(store.reads).toBe(0);
  });

  it("is refused when it is wrong, a prefix, or not configured", async () => {
    for (const wrong of [adminKey.slice(0, -1), `${adminKey}x`, adminKey.toUpperCase()]) {
      expect((await refusal(authenticator({ adminKey }).authenticate(wrong))).reason).toBe("UNAUTHENTICATED");
    }
    expect((await refusal(authenticator().authenticate(adminKey))).reason).toBe("UNAUTHENTICATED");
  });

  it("must have at least 32 characters, and an empty one is refused at start", () => {
    for (const short of ["", "x".repeat(31)])
      expect(() => authenticator({ adminKey: short })).toThrow(RangeError);
  });
});
