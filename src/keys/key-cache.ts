import { BoundedMap } from "../core/bounded-map.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { KeyStore, StoredKey } from "./key-store.ts";

/**
 * A change of a key takes effect everywhere within this time as long as the store answers: no entry is used that was
 * read longer ago.
 */
export const MAX_STALENESS_MS = 5_000;
/** Default of `outageTtlMs`. */
export const DEFAULT_OUTAGE_TTL_MS = 600_000;

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
  /**
   * While the store does not answer, a key is used that was read at most this long ago: what was changed elsewhere
   * meanwhile takes effect when the store is back. 0 means never more than `MAX_STALENESS_MS`. Default 600,000.
   */
  readonly outageTtlMs: number;
  /**
   * Whether the store is known not to answer: then nobody asks it or waits for it. The knowledge must not be older
   * than a few seconds. Default: never; each look-up finds out for itself.
   */
  readonly isStoreAway: () => boolean;
}

export interface KeyCache {
  /**
   * What is known without waiting: an entry not older than `cacheTtlMs`; while it is being renewed, than
   * `MAX_STALENESS_MS`; while the store is away, than `outageTtlMs`.
   */
  peek(apiKeyId: string): StoredKey | "absent" | undefined;
  /**
   * Reads the key, once for all who ask at the same time. When the store fails, a key that was read within
   * `outageTtlMs` stands in.
   * @throws GatewayError LEDGER_UNAVAILABLE, OVERLOADED
   */
  load(apiKeyId: string): Promise<StoredKey | "absent">;
  /** An entry not older than this, or a new reading; nothing stands in. @throws as `load` */
  loadSince(apiKeyId: string, maxAgeMs: number): Promise<StoredKey | "absent">;
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
  const { outageTtlMs = DEFAULT_OUTAGE_TTL_MS, isStoreAway = () => false } = options;
  const cacheTtlMs = Math.min(options.cacheTtlMs ?? 2_000, MAX_STALENESS_MS);
  const entries = createEntries(maxCacheEntries);
  const lookups = new Map<string, Lookup>();

  const ageMs = (entry: Entry): number => clock.monotonicMs() - entry.readAtMs;

  async function read(apiKeyId: string, isCurrent: () => boolean): Promise<StoredKey | "absent"> {
    const readAtMs = clock.monotonicMs();
    const found = (await withTimeout(store.find(apiKeyId), lookupTimeoutMs)) ?? "absent";
    // After a `forget` this read may predate the change: those who wait for it get it, nobody after them.
    if (isCurrent()) entries.keep(apiKeyId, { found, readAtMs });
    return found;
  }

  function lookUp(apiKeyId: string): Promise<StoredKey | "absent"> {
    const running = lookups.get(apiKeyId);
    if (running) return running.result;
    if (isStoreAway()) return Promise.reject(storeUnavailable(new Error("it is known to be away")));
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

  /** The key as it was before the store failed; ids that did not exist then may do so now. */
  function standIn(entry: Entry | undefined): StoredKey | undefined {
    if (!entry || entry.found === "absent") return undefined;
    return ageMs(entry) < Math.max(outageTtlMs, MAX_STALENESS_MS) ? entry.found : undefined;
  }

  return {
    peek(apiKeyId) {
      const entry = entries.get(apiKeyId);
      if (!entry) return undefined;
      const entryAgeMs = ageMs(entry);
      const isBeingRenewed = lookups.has(apiKeyId);
      if (isStoreAway()) return entryAgeMs < cacheTtlMs ? entry.found : standIn(entry);
      // A busy key is renewed aside, so that its requests never wait; what fails here is met again by `load`.
      if (entryAgeMs >= cacheTtlMs / 2 && !isBeingRenewed) lookUp(apiKeyId).catch(() => undefined);
      return entryAgeMs < (isBeingRenewed ? MAX_STALENESS_MS : cacheTtlMs) ? entry.found : undefined;
    },
    async load(apiKeyId) {
      try {
        return await lookUp(apiKeyId);
      } catch (error) {
        const known = isStoreFailure(error) ? standIn(entries.get(apiKeyId)) : undefined;
        if (known) return known;
        throw error;
      }
    },
    async loadSince(apiKeyId, maxAgeMs) {
      const entry = entries.get(apiKeyId);
      return entry && ageMs(entry) < maxAgeMs ? entry.found : await lookUp(apiKeyId);
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
      reject(storeUnavailable(new Error(`no answer within ${timeoutMs} ms`)));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    clearTimeout(timer);
  }
}

const storeUnavailable = (cause: Error) =>
  new GatewayError("LEDGER_UNAVAILABLE", "the key store is unavailable", { cause });

const isStoreFailure = (error: unknown): boolean =>
  error instanceof GatewayError && error.reason === "LEDGER_UNAVAILABLE";
