import { BoundedMap } from "../core/bounded-map.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { KeyStore, StoredKey } from "./key-store.ts";

/**
 * A change of a key takes effect everywhere within this time, in every case: no entry is used that was read
 * longer ago, whether the store answers or not.
 */
export const MAX_STALENESS_MS = 5_000;

export interface KeyCacheOptions {
  readonly clock: Clock;
  /** How long an entry is used without asking again; at most 5,000. Default 2,000. From half of it on the entry is renewed aside. */
  readonly cacheTtlMs: number;
  /** Keys kept, and apart from them as many ids that do not exist. The least recently used goes first. Default 10,000. */
  readonly maxCacheEntries: number;
  /** Look-ups under way at once, so that invented keys cannot pile up on the database. Default 256. */
  readonly maxConcurrentLookups: number;
  /** A store that does not answer within this time counts as failed. Default 2,000. */
  readonly lookupTimeoutMs: number;
}

export interface KeyCache {
  /** An entry not older than `maxAgeMs` (by default `cacheTtlMs`), or undefined. */
  peek(apiKeyId: string, maxAgeMs?: number): StoredKey | "absent" | undefined;
  /** Reads the key, once for all who ask at the same time. @throws GatewayError LEDGER_UNAVAILABLE, OVERLOADED */
  load(apiKeyId: string): Promise<StoredKey | "absent">;
  forget(apiKeyId: string): void;
}

interface Entry {
  readonly found: StoredKey | "absent";
  /** When the read began: what it returned is at least as new. */
  readonly readAtMs: number;
}

interface Lookup {
  readonly result: Promise<StoredKey | "absent">;
}

/** A bounded cache in front of the key store. */
export function createKeyCache(
  store: Pick<KeyStore, "find">,
  options: Partial<KeyCacheOptions> & Pick<KeyCacheOptions, "clock">,
): KeyCache {
  const { clock, maxCacheEntries = 10_000, maxConcurrentLookups = 256, lookupTimeoutMs = 2_000 } = options;
  const cacheTtlMs = Math.min(options.cacheTtlMs ?? 2_000, MAX_STALENESS_MS);
  const entries = createEntries(maxCacheEntries);
  const lookups = new Map<string, Lookup>();

  const ageMs = (entry: Entry): number => clock.monotonicMs() - entry.readAtMs;

  async function read(apiKeyId: string, isCurrent: () => boolean): Promise<StoredKey | "absent"> {
    const readAtMs = clock.monotonicMs();
    try {
      const found = (await withTimeout(store.find(apiKeyId), lookupTimeoutMs)) ?? "absent";
      // After a `forget` this read may predate the change: those who wait for it get it, nobody after them.
      if (isCurrent()) entries.keep(apiKeyId, { found, readAtMs });
      return found;
    } catch (error) {
      const entry = entries.get(apiKeyId);
      if (entry && ageMs(entry) < MAX_STALENESS_MS) return entry.found;
      throw error;
    }
  }

  function load(apiKeyId: string): Promise<StoredKey | "absent"> {
    const running = lookups.get(apiKeyId);
    if (running) return running.result;
    if (lookups.size >= maxConcurrentLookups) {
      return Promise.reject(
        new GatewayError("OVERLOADED", "too many API keys are being looked up", { retryAfterMs: 1_000 }),
      );
    }
    const isCurrent = () => lookups.get(apiKeyId) === lookup;
    const result = Promise.resolve()
      .then(() => read(apiKeyId, isCurrent))
      .finally(() => {
        if (isCurrent()) lookups.delete(apiKeyId);
      });
    const lookup: Lookup = { result };
    lookups.set(apiKeyId, lookup);
    return result;
  }

  return {
    load,
    peek(apiKeyId, maxAgeMs = cacheTtlMs) {
      const entry = entries.get(apiKeyId);
      if (!entry) return undefined;
      const entryAgeMs = ageMs(entry);
      if (entryAgeMs >= maxAgeMs) return undefined;
      // A busy key is renewed aside, so that its requests never wait; what fails here is met again by `load`.
      if (entryAgeMs >= cacheTtlMs / 2 && !lookups.has(apiKeyId)) load(apiKeyId).catch(() => undefined);
      return entry.found;
    },
    forget(apiKeyId) {
      entries.drop(apiKeyId);
      lookups.delete(apiKeyId);
    },
  };
}

/** Existing and invented ids are bounded apart, so that a flood of invented ones cannot drive the real ones out. */
function createEntries(maxEntries: number) {
  const present = new BoundedMap<string, Entry>(maxEntries);
  const absent = new BoundedMap<string, Entry>(maxEntries);
  const drop = (apiKeyId: string): void => {
    present.delete(apiKeyId);
    absent.delete(apiKeyId);
  };
  return {
    drop,
    get: (apiKeyId: string): Entry | undefined => present.get(apiKeyId) ?? absent.get(apiKeyId),
    keep(apiKeyId: string, entry: Entry): void {
      drop(apiKeyId);
      (entry.found === "absent" ? absent : present).set(apiKeyId, entry);
    },
  };
}

async function withTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const cause = new Error(`no answer within ${timeoutMs} ms`);
      reject(new GatewayError("LEDGER_UNAVAILABLE", "the key store is unavailable", { cause }));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    clearTimeout(timer);
  }
}
