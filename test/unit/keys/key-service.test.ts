import { randomBytes } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { type KeyChanges, type NewKey, type Principal, ROLES, type Role } from "../../../src/core/keys.ts";
import { createKeyService, MAX_OVERLAP_MS } from "../../../src/keys/key-service.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createMemoryKeyStore } from "../../support/memory-key-store.ts";
import { ADMIN, newKey, principal } from "../../support/principals.ts";

const pepper = randomBytes(32);
let clock: ReturnType<typeof createManualClock>;
let store: ReturnType<typeof createMemoryKeyStore>;
let keys: ReturnType<typeof createKeyService>;
beforeEach(() => {
  clock = createManualClock();
  store = createMemoryKeyStore();
  keys = createKeyService(store, { pepper, clock });
});

async function refusal(work: Promise<unknown>): Promise<GatewayError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GatewayError)) throw new Error(`expected a GatewayError, got ${String(error)}`);
  return error;
}

const violatedFields = async (work: Promise<unknown>) => {
  const error = await refusal(work);
  expect(error.reason).toBe("INVALID_REQUEST");
  return error.fieldViolations.map(({ field }) => field);
};

/** Every subset: one per number of as many bits as there are roles. */
const subsets = (roles: readonly Role[]): Role[][] =>
  Array.from({ length: 2 ** roles.length }, (_, bits) => roles.filter((_role, index) => (bits >> index) & 1));

describe("who may manage keys", () => {
  const page = { pageSize: 10, pageToken: undefined, includeRevoked: true };
  const calls: Readonly<Record<string, (actor: Principal, apiKeyId: string) => Promise<unknown>>> = {
    create: (actor) => keys.create(actor, newKey()),
    get: (actor, apiKeyId) => keys.get(actor, apiKeyId),
    list: (actor) => keys.list(actor, page),
    update: (actor, apiKeyId) => keys.update(actor, apiKeyId, { displayName: "other" }),
    rotate: (actor, apiKeyId) => keys.rotate(actor, apiKeyId, 0),
    revoke: (actor, apiKeyId) => keys.revoke(actor, apiKeyId),
  };

  it.each(Object.keys(calls))(
    "refuses %s to every set of roles without manage_keys or admin",
    async (name) => {
      const { key } = await keys.create(ADMIN, newKey());
      const before = store.keys.get(key.apiKeyId);
      for (const roles of subsets(["invoke", "read_costs"])) {
        const { reads } = store;
        const error = await refusal((calls[name] ?? expect.fail())(principal({ roles }), key.apiKeyId));
        expect(error.reason).toBe("PERMISSION_DENIED");
        expect(store.reads).toBe(reads);
      }
      expect(store.keys.get(key.apiKeyId)).toBe(before);
      expect(store.keys.size).toBe(1);
    },
  );

  it("lets nobody grant a role that they do not hold, for every pair of role sets", async () => {
    for (const held of subsets(ROLES)) {
      for (const granted of subsets(ROLES).filter((roles) => roles.length > 0)) {
        const mayGrant =
          held.includes("admin") ||
          (held.includes("manage_keys") && granted.every((role) => held.includes(role)));
        const made = keys.create(principal({ roles: held }), newKey({ roles: granted }));
        if (mayGrant) expect((await made).key.roles).toEqual(granted);
        else expect((await refusal(made)).reason).toBe("PERMISSION_DENIED");
      }
    }
  });

  it.each(["update", "rotate", "revoke"])("lets nobody %s a key that may do more than they", async (name) => {
    const call = calls[name] ?? expect.fail();
    for (const target of subsets(ROLES).filter((roles) => roles.length > 0)) {
      const { key } = await keys.create(ADMIN, newKey({ roles: target }));
      const manager = principal({ roles: ["manage_keys", "invoke"] });
      const attempt = call(manager, key.apiKeyId);
      if (target.every((role) => manager.roles.includes(role))) await attempt;
      else expect((await refusal(attempt)).reason).toBe("PERMISSION_DENIED");
    }
  });

  it("lets nobody raise themselves by an update", async () => {
    const manager = await keys.create(ADMIN, newKey({ roles: ["manage_keys"] }));
    const actor = principal({ apiKeyId: manager.key.apiKeyId, roles: ["manage_keys"] });
    for (const roles of [["admin"], ["manage_keys", "invoke"]] as const) {
      expect((await refusal(keys.update(actor, manager.key.apiKeyId, { roles }))).reason).toBe(
        "PERMISSION_DENIED",
      );
    }
  });

  it("keeps a manager with a model allow-list within that list", async () => {
    const actor = principal({ roles: ["manage_keys", "invoke"], allowedModels: ["fast", "cheap"] });
    for (const allowedModels of [[], ["fast", "expensive"]]) {
      expect((await refusal(keys.create(actor, newKey({ allowedModels })))).reason).toBe("PERMISSION_DENIED");
    }
    const { key } = await keys.create(actor, newKey({ allowedModels: ["fast"] }));
    expect((await refusal(keys.update(actor, key.apiKeyId, { allowedModels: [] }))).reason).toBe(
      "PERMISSION_DENIED",
    );
    const wide = await keys.create(ADMIN, newKey());
    expect((await refusal(keys.rotate(actor, wide.key.apiKeyId, 0))).reason).toBe("PERMISSION_DENIED");
  });

  it("checks the key as it is when the change is made, not as it was when it was read", async () => {
    const { key } = await keys.create(ADMIN, newKey());
    const manager = principal({ roles: ["manage_keys", "invoke"] });
    const { replace } = store;
    let interfered = false;
    store.replace = async (stored) => {
      if (!interfered) {
        interfered = true;
        await createKeyService({ ...store, replace }, { pepper, clock }).update(ADMIN, key.apiKeyId, {
          roles: ["admin"],
        });
      }
      return await replace.call(store, stored);
    };
    expect((await refusal(keys.rotate(manager, key.apiKeyId, 0))).reason).toBe("PERMISSION_DENIED");
    expect((await keys.get(ADMIN, key.apiKeyId)).roles).toEqual(["admin"]);
  });
});

describe("managing keys", () => {
  it("stores neither the secret nor anything that contains it", async () => {
    const { secret } = await keys.create(ADMIN, newKey());
    const stored = JSON.stringify([...store.keys.values()]);
    expect(stored).not.toContain(secret);
    expect(stored).not.toContain(secret.slice(21, 53));
    const hashes = [...store.keys.values()].map(({ secretHash }) => Buffer.from(secretHash).toString());
    expect(hashes.join()).not.toContain(secret.slice(21, 53));
  });

  it("keeps who made a key, and drops properties that are not of a key", async () => {
    const smuggled: NewKey = Object.assign(newKey(), { apiKeyId: "admin", revokedAt: new Date(0) });
    const { key } = await keys.create(ADMIN, smuggled);
    expect(key).toEqual({
      ...newKey(),
      apiKeyId: key.apiKeyId,
      createdAt: clock.now(),
      revokedAt: undefined,
    });
    expect(key.apiKeyId).toMatch(/^k_/);
    expect(store.keys.get(key.apiKeyId)?.createdBy).toBe("admin");
  });

  it("changes what is given and leaves the rest", async () => {
    const expiresAt = new Date(clock.now().getTime() + 60_000);
    const { key } = await keys.create(ADMIN, newKey({ expiresAt }));
    const changed = await keys.update(ADMIN, key.apiKeyId, { displayName: "other", allowedModels: ["fast"] });
    expect(changed).toEqual({ ...key, displayName: "other", allowedModels: ["fast"] });
    expect((await keys.update(ADMIN, key.apiKeyId, { clearExpiry: true })).expiresAt).toBeUndefined();
    expect(await keys.get(ADMIN, key.apiKeyId)).toMatchObject({ displayName: "other", expiresAt: undefined });
  });

  it("revokes once and for all", async () => {
    const { key } = await keys.create(ADMIN, newKey());
    const revoked = await keys.revoke(ADMIN, key.apiKeyId);
    expect(revoked.revokedAt).toEqual(clock.now());
    clock.advance(1_000);
    expect(await keys.revoke(ADMIN, key.apiKeyId)).toEqual(revoked);
    expect((await refusal(keys.update(ADMIN, key.apiKeyId, { displayName: "x" }))).reason).toBe(
      "INVALID_REQUEST",
    );
    expect((await refusal(keys.rotate(ADMIN, key.apiKeyId, 0))).reason).toBe("INVALID_REQUEST");
  });

  it("loses no change when many are made at the same time", async () => {
    const { key } = await keys.create(ADMIN, newKey());
    await Promise.all([
      keys.update(ADMIN, key.apiKeyId, { displayName: "other" }),
      keys.update(ADMIN, key.apiKeyId, { tags: { team: "ads" } }),
      keys.rotate(ADMIN, key.apiKeyId, 1_000),
    ]);
    expect(await keys.get(ADMIN, key.apiKeyId)).toMatchObject({
      displayName: "other",
      tags: { team: "ads" },
    });
    expect(store.keys.get(key.apiKeyId)?.revision).toBe(4);
  });

  it("knows no key by anything but its id, and asks the store for nothing else", async () => {
    await keys.create(ADMIN, newKey());
    const { reads } = store;
    for (const apiKeyId of ["", "admin", "k_%", "k_____________", "' OR 1=1 --", "k_short"]) {
      expect((await refusal(keys.get(ADMIN, apiKeyId))).reason).toBe("NOT_FOUND");
      expect((await refusal(keys.revoke(ADMIN, apiKeyId))).reason).toBe("NOT_FOUND");
      expect((await refusal(keys.rotate(ADMIN, apiKeyId, 0))).reason).toBe("NOT_FOUND");
    }
    expect(store.reads).toBe(reads);
    expect((await refusal(keys.get(ADMIN, "k_doesnotexist"))).reason).toBe("NOT_FOUND");
  });
});

describe("what a key may be", () => {
  const limits = (changes: Partial<NewKey["limits"]>) => ({ limits: { ...newKey().limits, ...changes } });
  const asRoles = (roles: readonly string[]): readonly Role[] =>
    roles.filter((role): role is Role => role !== "");

  const wrong: readonly (readonly [string, Partial<NewKey>])[] = [
    ["display_name", { displayName: "  " }],
    ["display_name", { displayName: "x".repeat(129) }],
    ["display_name", { displayName: "a\nb" }],
    ["roles", { roles: [] }],
    ["roles", { roles: ["invoke", "invoke"] }],
    ["roles[1]", { roles: asRoles(["invoke", "root"]) }],
    ["allowed_models", { allowedModels: Array.from({ length: 101 }, (_, i) => `m${i}`) }],
    ["allowed_models[0]", { allowedModels: ["a b"] }],
    ["limits.requests_per_minute", limits({ requestsPerMinute: 0 })],
    ["limits.tokens_per_minute", limits({ tokensPerMinute: 1.5 })],
    ["limits.max_concurrent", limits({ maxConcurrent: 2 ** 31 })],
    ["tags", { tags: { "a b": "x" } }],
    ["tags", { tags: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`t${i}`, ""])) }],
    ["tags.team", { tags: { team: "x".repeat(129) } }],
    ["expires_at", { expiresAt: new Date(0) }],
    ["expires_at", { expiresAt: new Date(Number.NaN) }],
  ];

  it.each(wrong)("names the field %s when it is wrong: %j", async (field, changes) => {
    expect(await violatedFields(keys.create(ADMIN, newKey(changes)))).toEqual([field]);
    const { key } = await keys.create(ADMIN, newKey());
    expect(await violatedFields(keys.update(ADMIN, key.apiKeyId, changes))).toEqual([field]);
  });

  it("reports every violation at once", async () => {
    const key = newKey({ displayName: "", roles: [], ...limits({ maxConcurrent: -1 }) });
    expect(await violatedFields(keys.create(ADMIN, key))).toEqual([
      "display_name",
      "roles",
      "limits.max_concurrent",
    ]);
  });

  it("refuses an expiry that is given and cleared together", async () => {
    const { key } = await keys.create(ADMIN, newKey());
    const changes: KeyChanges = { expiresAt: new Date(clock.now().getTime() + 1_000), clearExpiry: true };
    expect(await violatedFields(keys.update(ADMIN, key.apiKeyId, changes))).toEqual(["expires_at"]);
  });

  it.each([-1, 0.5, Number.NaN, MAX_OVERLAP_MS + 1])("refuses an overlap of %d ms", async (overlapMs) => {
    const { key } = await keys.create(ADMIN, newKey());
    expect(await violatedFields(keys.rotate(ADMIN, key.apiKeyId, overlapMs))).toEqual(["overlap"]);
  });
});
