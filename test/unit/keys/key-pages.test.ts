import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { ApiKey, KeyService } from "../../../src/core/keys.ts";
import { createKeyService } from "../../../src/keys/key-service.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createMemoryKeyStore } from "../../support/memory-key-store.ts";
import { ADMIN, newKey } from "../../support/principals.ts";

function setUp() {
  const clock = createManualClock();
  const store = createMemoryKeyStore();
  return { clock, store, keys: createKeyService(store, { pepper: randomBytes(32), clock }) };
}

async function allPages(keys: KeyService, pageSize: number, includeRevoked: boolean): Promise<ApiKey[]> {
  const all: ApiKey[] = [];
  let pageToken: string | undefined;
  do {
    const page = await keys.list(ADMIN, { pageSize, pageToken, includeRevoked });
    expect(page.keys.length).toBeLessThanOrEqual(pageSize);
    all.push(...page.keys);
    pageToken = page.nextPageToken;
  } while (pageToken);
  return all;
}

describe("listing keys", () => {
  it.each([1, 3, 7, 100])("shows every key once, newest first, by pages of %d", async (pageSize) => {
    const { clock, keys } = setUp();
    const made: string[] = [];
    for (let i = 0; i < 20; i++) {
      made.unshift((await keys.create(ADMIN, newKey())).key.apiKeyId);
      // Some are made within the same millisecond.
      if (i % 3 === 0) clock.advance(1);
    }
    const listed = await allPages(keys, pageSize, false);
    expect(listed.map(({ apiKeyId }) => apiKeyId).sort()).toEqual(made.sort());
    const times = listed.map(({ createdAt }) => createdAt.getTime());
    expect(times).toEqual([...times].sort((a, b) => b - a));
  });

  it("neither repeats nor skips when keys are added between pages", async () => {
    const { clock, keys } = setUp();
    for (let i = 0; i < 4; i++) {
      await keys.create(ADMIN, newKey());
      clock.advance(1);
    }
    const first = await keys.list(ADMIN, { pageSize: 2, pageToken: undefined, includeRevoked: false });
    await keys.create(ADMIN, newKey());
    const second = await keys.list(ADMIN, {
      pageSize: 2,
      pageToken: first.nextPageToken,
      includeRevoked: false,
    });
    expect(new Set([...first.keys, ...second.keys].map(({ apiKeyId }) => apiKeyId)).size).toBe(4);
    expect(second.nextPageToken).toBeUndefined();
  });

  it("shows revoked keys only when asked", async () => {
    const { keys } = setUp();
    const { key } = await keys.create(ADMIN, newKey());
    await keys.create(ADMIN, newKey());
    await keys.revoke(ADMIN, key.apiKeyId);
    expect(await allPages(keys, 10, false)).toHaveLength(1);
    expect(await allPages(keys, 10, true)).toHaveLength(2);
  });

  it("takes 100 by default, at most 1000, and refuses a negative page size", async () => {
    const { keys, store } = setUp();
    const limits: number[] = [];
    store.list = async ({ limit }) => {
      limits.push(limit);
      return [];
    };
    for (const pageSize of [0, 5_000]) {
      await keys.list(ADMIN, { pageSize, pageToken: undefined, includeRevoked: false });
    }
    expect(limits).toEqual([101, 1_001]);
    await expect(
      keys.list(ADMIN, { pageSize: -1, pageToken: undefined, includeRevoked: false }),
    ).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      fieldViolations: [{ field: "page_size" }],
    });
  });

  it("refuses a token of another list, and what is no token", async () => {
    const { keys } = setUp();
    for (let i = 0; i < 3; i++) await keys.create(ADMIN, newKey());
    const { nextPageToken } = await keys.list(ADMIN, {
      pageSize: 1,
      pageToken: undefined,
      includeRevoked: false,
    });
    const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const tokens = [
      "x",
      "%",
      forged({}),
      forged([1]),
      forged([1e300, "k_000000000000", true]),
      forged([0, "' OR 1=1 --", true]),
    ];
    for (const pageToken of [nextPageToken, ...tokens]) {
      await expect(keys.list(ADMIN, { pageSize: 1, pageToken, includeRevoked: true })).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
        fieldViolations: [{ field: "page_token" }],
      });
    }
  });
});
