import { setTimeout as delay } from "node:timers/promises";
import { GatewayError } from "../core/errors.ts";
import type { Database, DatabaseDriver } from "./database.ts";
import { isDatabaseAway } from "./is-database-away.ts";
import { migrate, SchemaTooNewError } from "./migrate.ts";
import { type OpenDatabaseOptions, openDriver, toDatabase } from "./open-database.ts";

/**
 * A database whose server may be away when the process starts. Until its schema was seen and is up to date,
 * everything but `close` rejects with LEDGER_UNAVAILABLE.
 */
export interface EventualDatabase extends Database {
  /** Whether the schema was seen and is up to date; once true, it stays. */
  readonly isOpen: boolean;
  /**
   * Resolves when it is open. Rejects when waiting longer would not help: SchemaTooNewError, a wrong password, an
   * unknown database, a migration that fails. Stays pending when it is closed before.
   */
  readonly opened: Promise<void>;
}

/** A start waits so long for a database that says nothing, or is being migrated, before it goes on without it. */
const START_WAIT_MS = 3_000;
const RETRY_INTERVAL_MS = 500;
/** A server that takes the connection and says nothing counts as away after this. */
const PROBE_TIMEOUT_MS = 2_000;

/**
 * Opens the database as `openDatabase` does, but does not wait for a server that is away, and 3 s at most for one that
 * is silent or has to be migrated: what it returns opens by itself later.
 * @throws what `openDatabase` throws, when it is known by then
 */
export async function openDatabaseEventually(options: OpenDatabaseOptions): Promise<EventualDatabase> {
  const driver = await openDriver(options);
  const closing = new AbortController();
  let isOpen = false;
  const away = Promise.withResolvers<void>();
  const onAway = (reason: string) => {
    away.resolve();
    options.onWarning?.(`the database is away and is tried again until it answers: ${reason}`);
  };
  const opened = openWhenThere(driver, closing.signal, onAway).then(() => {
    isOpen = true;
  });
  try {
    // The embedded database cannot be away, and its first start takes longer.
    const patience =
      driver.kind === "pglite" ? [] : [away.promise, delay(START_WAIT_MS, undefined, { ref: false })];
    await Promise.race([opened, ...patience]);
  } catch (error) {
    await driver.close();
    throw error;
  }
  const assertOpen = (): void => {
    if (!isOpen) throw new GatewayError("LEDGER_UNAVAILABLE", "the database was not reached yet");
  };
  const { kind, orm, em, query, snapshot, reading, sync, ping, close } = toDatabase(driver);
  return {
    ...{ kind, orm, sync, opened },
    get isOpen() {
      return isOpen;
    },
    em() {
      assertOpen();
      return em();
    },
    async query(...given) {
      assertOpen();
      return await query(...given);
    },
    async snapshot(work, timeoutMs) {
      assertOpen();
      return await snapshot(work, timeoutMs);
    },
    async reading(work) {
      assertOpen();
      return await reading(work);
    },
    async ping() {
      assertOpen();
      await ping();
    },
    async close() {
      closing.abort();
      await close();
    },
  };
}

async function openWhenThere(
  driver: DatabaseDriver,
  closing: AbortSignal,
  onAway: (reason: string) => void,
): Promise<void> {
  let told: string | undefined;
  for (;;) {
    try {
      await answersInTime(driver);
      return await migrate(driver);
    } catch (error) {
      if (closing.aborted) return await new Promise<never>(() => {});
      if (!isDatabaseAway(error)) throw withContext(error);
      const reason = reasonOf(error);
      if (reason !== told) onAway(reason);
      told = reason;
    }
    await delay(RETRY_INTERVAL_MS, undefined, { signal: closing }).catch(() => {});
  }
}

async function answersInTime(driver: DatabaseDriver): Promise<void> {
  const given = new AbortController();
  const expired = delay(PROBE_TIMEOUT_MS, undefined, { signal: given.signal }).then(() => {
    throw Object.assign(new Error("no answer"), { code: "ETIMEDOUT" });
  });
  // Who comes second is not listened to.
  expired.catch(() => {});
  try {
    await Promise.race([driver.query("SELECT 1"), expired]);
  } finally {
    given.abort();
  }
}

function withContext(error: unknown): unknown {
  if (error instanceof SchemaTooNewError) return error;
  return new Error(`the database cannot be used: ${reasonOf(error)}`, { cause: error });
}

/** An AggregateError of several addresses has no message of its own. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== "") return error.message;
  return "code" in error ? String(error.code) : error.name;
}
