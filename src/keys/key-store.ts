import {
  ConstraintViolationException,
  type EntityManager,
  type FilterQuery,
  type InferEntity,
} from "@mikro-orm/core";
import { GatewayError } from "../core/errors.ts";
import type { ApiKey } from "../core/keys.ts";
import { ApiKeyEntity } from "./entities.ts";

/** A key with what is needed to check and to change it. */
export interface StoredKey {
  readonly key: ApiKey;
  /** The id of the key that made it. */
  readonly createdBy: string;
  readonly secretHash: Uint8Array;
  /** The secret before the last rotation, and until when it works; both or neither. */
  readonly previousSecretHash: Uint8Array | undefined;
  readonly previousValidUntil: Date | undefined;
  /** Rises with every change. */
  readonly revision: number;
}

/** Where a page of keys starts: after this key, in the order of creation, newest first. */
export interface KeyPosition {
  readonly createdAt: Date;
  readonly apiKeyId: string;
}

/** @throws GatewayError LEDGER_UNAVAILABLE when the database does not answer */
export interface KeyStore {
  find(apiKeyId: string): Promise<StoredKey | undefined>;
  insert(stored: StoredKey): Promise<void>;
  /** Replaces a key if it still has the revision before `stored.revision`. False: somebody else changed it. */
  replace(stored: StoredKey): Promise<boolean>;
  /** Newest first; stable while keys are added. */
  list(query: {
    readonly after: KeyPosition | undefined;
    readonly limit: number;
    readonly includeRevoked: boolean;
  }): Promise<readonly StoredKey[]>;
}

/** Gives a forked entity manager for one unit of work. */
export interface KeyDatabase {
  em(): EntityManager;
}

/** The store on MikroORM. Every value travels as a parameter. */
export function createKeyStore(database: KeyDatabase): KeyStore {
  return {
    find: (apiKeyId) =>
      guarded(async () => {
        const row = await database.em().findOne(ApiKeyEntity, { apiKeyId });
        return row ? fromRow(row) : undefined;
      }),
    insert: (stored) =>
      guarded(async () => {
        await database.em().insert(ApiKeyEntity, toRow(stored));
      }),
    replace: (stored) =>
      guarded(async () => {
        const { apiKeyId, ...changed } = toRow(stored);
        const unchanged = { apiKeyId, revision: stored.revision - 1 };
        return (await database.em().nativeUpdate(ApiKeyEntity, unchanged, changed)) === 1;
      }),
    list: ({ after, limit, includeRevoked }) =>
      guarded(async () => {
        const conditions: FilterQuery<KeyRow>[] = [];
        if (!includeRevoked) conditions.push({ revokedAt: null });
        if (after) {
          const { createdAt, apiKeyId } = after;
          conditions.push({
            $or: [{ createdAt: { $lt: createdAt } }, { createdAt, apiKeyId: { $lt: apiKeyId } }],
          });
        }
        const orderBy = { createdAt: "desc", apiKeyId: "desc" } as const;
        const rows = await database.em().find(ApiKeyEntity, { $and: conditions }, { orderBy, limit });
        return rows.map(fromRow);
      }),
  };
}

type KeyRow = InferEntity<typeof ApiKeyEntity>;

function fromRow(row: KeyRow): StoredKey {
  return {
    key: {
      apiKeyId: row.apiKeyId,
      displayName: row.displayName,
      roles: row.roles,
      allowedModels: row.allowedModels,
      limits: {
        requestsPerMinute: row.requestsPerMinute ?? undefined,
        tokensPerMinute: row.tokensPerMinute ?? undefined,
        maxConcurrent: row.maxConcurrent ?? undefined,
      },
      tags: row.tags,
      createdAt: row.createdAt,
      expiresAt: row.expiresAt ?? undefined,
      revokedAt: row.revokedAt ?? undefined,
    },
    createdBy: row.createdBy,
    secretHash: row.secretHash,
    previousSecretHash: row.previousSecretHash ?? undefined,
    previousValidUntil: row.previousValidUntil ?? undefined,
    revision: row.revision,
  };
}

function toRow(stored: StoredKey) {
  const { key } = stored;
  return {
    apiKeyId: key.apiKeyId,
    displayName: key.displayName,
    roles: key.roles,
    allowedModels: key.allowedModels,
    requestsPerMinute: key.limits.requestsPerMinute ?? null,
    tokensPerMinute: key.limits.tokensPerMinute ?? null,
    maxConcurrent: key.limits.maxConcurrent ?? null,
    tags: key.tags,
    secretHash: Buffer.from(stored.secretHash),
    previousSecretHash: stored.previousSecretHash ? Buffer.from(stored.previousSecretHash) : null,
    previousValidUntil: stored.previousValidUntil ?? null,
    createdAt: key.createdAt,
    createdBy: stored.createdBy,
    expiresAt: key.expiresAt ?? null,
    revokedAt: key.revokedAt ?? null,
    revision: stored.revision,
  };
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // A broken constraint is a defect of ours and says nothing about the database's health.
    if (error instanceof GatewayError || error instanceof ConstraintViolationException) throw error;
    throw new GatewayError("LEDGER_UNAVAILABLE", "the key store is unavailable", { cause: error });
  }
}
