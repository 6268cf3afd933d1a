import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import {
  type ApiKey,
  hasRole,
  type KeyChanges,
  type KeyService,
  type NewKey,
  type Principal,
} from "../core/keys.ts";
import { effectivePageSize } from "../core/paging.ts";
import { generateKey, generateSecretFor, isApiKeyId } from "./key-format.ts";
import type { KeyStore, StoredKey } from "./key-store.ts";
import { invalid, validateKey } from "./key-validation.ts";
import { formatPageToken, parsePageToken } from "./page-token.ts";
import { createSecretHasher, type SecretHasher } from "./secret-hash.ts";

/** The longest time for which a rotated secret goes on working. */
export const MAX_OVERLAP_MS = 30 * 24 * 3_600_000;

/** How often a change is tried when others change the same key at the same time. */
const CHANGE_ATTEMPTS = 5;

export interface KeyServiceOptions {
  /** At least 16 bytes; the same as the authenticator's. */
  readonly pepper: Uint8Array;
  readonly clock: Clock;
  /** Told of every change, so that this process forgets what it has cached: `authenticator.forget`. */
  readonly onChanged?: ((apiKeyId: string) => void) | undefined;
}

interface Context extends Omit<KeyServiceOptions, "pepper"> {
  readonly store: KeyStore;
  readonly hasher: SecretHasher;
}

/**
 * Managing keys needs `manage_keys` or `admin`. Beyond that one rule holds for making, changing, rotating and
 * revoking: nobody touches a key that may do more than they may, and nobody makes one that could. Rotation is
 * part of it because it hands out the secret.
 * @throws RangeError when the pepper is too short
 */
export function createKeyService(store: KeyStore, options: KeyServiceOptions): KeyService {
  const { pepper, clock, onChanged } = options;
  const context: Context = { store, clock, onChanged, hasher: createSecretHasher(pepper) };
  return {
    create: (actor, newKey) => createKey(context, actor, newKey),
    async get(actor, apiKeyId) {
      requireManager(actor);
      return (await existing(store, apiKeyId)).key;
    },
    list: (actor, page) => listKeys(context, actor, page),
    async update(actor, apiKeyId, changes) {
      requireManager(actor);
      validateKey(changes, clock.now());
      return await changeKey(context, actor, apiKeyId, (stored) => {
        requireNotRevoked(stored.key);
        return { ...stored, key: withChanges(stored.key, changes) };
      });
    },
    rotate: (actor, apiKeyId, overlapMs) => rotateKey(context, actor, apiKeyId, overlapMs),
    async revoke(actor, apiKeyId) {
      requireManager(actor);
      return await changeKey(context, actor, apiKeyId, (stored) =>
        stored.key.revokedAt ? undefined : { ...stored, key: { ...stored.key, revokedAt: clock.now() } },
      );
    },
  };
}

async function createKey(
  context: Context,
  actor: Principal,
  newKey: NewKey,
): Promise<{ readonly key: ApiKey; readonly secret: string }> {
  requireManager(actor);
  const now = context.clock.now();
  validateKey(newKey, now);
  requireControl(actor, newKey);
  const { apiKeyId, secret } = generateKey();
  const key: ApiKey = { ...pickNewKey(newKey), apiKeyId, createdAt: now, revokedAt: undefined };
  await context.store.insert({
    key,
    createdBy: actor.apiKeyId,
    secretHash: context.hasher.hash(secret),
    previousSecretHash: undefined,
    previousValidUntil: undefined,
    revision: 1,
  });
  context.onChanged?.(apiKeyId);
  return { key, secret };
}

async function listKeys(
  { store }: Context,
  actor: Principal,
  { pageSize, pageToken, includeRevoked }: Parameters<KeyService["list"]>[1],
): ReturnType<KeyService["list"]> {
  requireManager(actor);
  const limit = effectivePageSize(pageSize);
  const after = pageToken ? parsePageToken(pageToken, { includeRevoked }) : undefined;
  // One more than asked for tells whether there is a next page.
  const found = await store.list({ after, limit: limit + 1, includeRevoked });
  const keys = found.slice(0, limit).map(({ key }) => key);
  const last = found.length > limit ? keys.at(-1) : undefined;
  return { keys, nextPageToken: last && formatPageToken(last, { includeRevoked }) };
}

async function rotateKey(
  context: Context,
  actor: Principal,
  apiKeyId: string,
  overlapMs: number,
): Promise<{ readonly key: ApiKey; readonly secret: string }> {
  requireManager(actor);
  requireOverlap(overlapMs);
  const { secret } = generateSecretFor(apiKeyId);
  const key = await changeKey(context, actor, apiKeyId, (stored) => {
    requireNotRevoked(stored.key);
    return {
      ...stored,
      secretHash: context.hasher.hash(secret),
      previousSecretHash: overlapMs > 0 ? stored.secretHash : undefined,
      previousValidUntil: overlapMs > 0 ? new Date(context.clock.now().getTime() + overlapMs) : undefined,
    };
  });
  return { key, secret };
}

/** Reads, authorises and replaces until nobody came between; undefined from `change` means nothing to do. */
async function changeKey(
  { store, onChanged }: Context,
  actor: Principal,
  apiKeyId: string,
  change: (stored: StoredKey) => StoredKey | undefined,
): Promise<ApiKey> {
  for (let attempt = 1; attempt <= CHANGE_ATTEMPTS; attempt++) {
    const stored = await existing(store, apiKeyId);
    requireControl(actor, stored.key);
    const changed = change(stored);
    if (!changed) return stored.key;
    requireControl(actor, changed.key);
    if (await store.replace({ ...changed, revision: stored.revision + 1 })) {
      onChanged?.(apiKeyId);
      return changed.key;
    }
  }
  throw new GatewayError("OVERLOADED", "the key is being changed by others", { retryAfterMs: 1_000 });
}

async function existing(store: KeyStore, apiKeyId: string): Promise<StoredKey> {
  const stored = isApiKeyId(apiKeyId) ? await store.find(apiKeyId) : undefined;
  if (!stored) throw new GatewayError("NOT_FOUND", "there is no such API key");
  return stored;
}

function requireManager(actor: Principal): void {
  if (!hasRole(actor, "manage_keys")) {
    throw new GatewayError("PERMISSION_DENIED", "managing keys needs the role manage_keys");
  }
}

/** Both what the key may do and the models it may use must lie within what the actor may. */
function requireControl(actor: Principal, key: Pick<NewKey, "roles" | "allowedModels">): void {
  if (actor.roles.includes("admin")) return;
  const lacking = key.roles.find((role) => !actor.roles.includes(role));
  if (lacking) {
    throw new GatewayError("PERMISSION_DENIED", `the role ${lacking} is in the hands of keys that hold it`);
  }
  if (actor.allowedModels.length === 0) return;
  // An empty list means every model, which is more than any list.
  const within =
    key.allowedModels.length > 0 && key.allowedModels.every((model) => actor.allowedModels.includes(model));
  if (!within) {
    throw new GatewayError("PERMISSION_DENIED", "the key may use models that the calling key may not");
  }
}

function requireNotRevoked(key: ApiKey): void {
  if (key.revokedAt)
    throw new GatewayError("INVALID_REQUEST", "the key is revoked and cannot be changed any more");
}

function requireOverlap(overlapMs: number): void {
  if (Number.isInteger(overlapMs) && overlapMs >= 0 && overlapMs <= MAX_OVERLAP_MS) return;
  throw invalid([{ field: "overlap", description: `must be from 0 to ${MAX_OVERLAP_MS / 1000} seconds` }]);
}

/** Only the known properties, so that nothing else a caller's object carries is kept. */
function pickNewKey({ displayName, roles, allowedModels, limits, tags, expiresAt }: NewKey): NewKey {
  return { displayName, roles, allowedModels, limits, tags, expiresAt };
}

function withChanges(key: ApiKey, changes: KeyChanges): ApiKey {
  return {
    ...key,
    displayName: changes.displayName ?? key.displayName,
    roles: changes.roles ?? key.roles,
    allowedModels: changes.allowedModels ?? key.allowedModels,
    limits: changes.limits ?? key.limits,
    tags: changes.tags ?? key.tags,
    expiresAt: changes.clearExpiry ? undefined : (changes.expiresAt ?? key.expiresAt),
  };
}
