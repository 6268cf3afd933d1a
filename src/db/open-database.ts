import type { Database, DatabaseDriver, Entity } from "./database.ts";
import { assertMigrated, migrate } from "./migrate.ts";

export interface OpenDatabaseOptions {
  /** URL of a PostgreSQL database that exists; undefined means the embedded one. */
  readonly url?: string | undefined;
  /** Where the embedded database lives, in `<dataDir>/db`; undefined keeps it in memory. */
  readonly dataDir?: string | undefined;
  /** The entities of every store. */
  readonly entities: readonly Entity[];
  /** Connections to PostgreSQL at most; at least 2. @default 10 */
  readonly poolSize?: number | undefined;
  /** Named statements are prepared on PostgreSQL; off behind a proxy that does not know of them. @default true */
  readonly preparedStatements?: boolean | undefined;
  /** What the driver has to say, e.g. a connection that the server closed. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** False: a schema that is not up to date is an error, and nothing is changed. @default true */
  readonly migrate?: boolean | undefined;
  /** Start the embedded database from this dump of a directory instead of an empty one. */
  readonly initialDump?: Blob | undefined;
}

export const DEFAULT_POOL_SIZE = 10;
/** Reports may hold one; the ledger and the keys need another. */
export const MIN_POOL_SIZE = 2;

/**
 * Opens PostgreSQL or the embedded database and brings its schema up to date.
 * @throws DirectoryInUseError when another process has the embedded directory
 * @throws SchemaTooOldError when it may not migrate and would have to
 * @throws SchemaTooNewError when a newer version of the gateway migrated it
 * @throws RangeError for a pool that is too small, and the driver's error when the server does not answer
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  const driver = await openDriver(options);
  try {
    await (options.migrate === false ? assertMigrated(driver) : migrate(driver));
  } catch (error) {
    await driver.close();
    throw error;
  }
  return toDatabase(driver);
}

/** A driver whose schema is up to date, as the stores see it. */
export function toDatabase({ kind, orm, query, snapshot, reading, sync, close }: DatabaseDriver): Database {
  return {
    kind,
    orm,
    query,
    snapshot,
    reading,
    sync,
    close,
    em: () => orm.em.fork(),
    ping: async () => {
      await query("SELECT 1");
    },
  };
}

/**
 * Does not ask for the server yet. The driver that is not used is not loaded: it would cost memory and start-up time.
 * @throws DirectoryInUseError, RangeError
 */
export async function openDriver(options: OpenDatabaseOptions): Promise<DatabaseDriver> {
  const { url, dataDir, entities, initialDump, onWarning = () => {} } = options;
  const { poolSize = DEFAULT_POOL_SIZE, preparedStatements = true } = options;
  if (url === undefined) {
    const { openPglite } = await import("./pglite-driver.ts");
    return await openPglite({ dataDir, initialDump, entities, onWarning });
  }
  if (poolSize < MIN_POOL_SIZE) throw new RangeError(`a pool needs at least ${MIN_POOL_SIZE} connections`);
  const { openPostgres } = await import("./postgres-driver.ts");
  return await openPostgres({ url, poolSize, preparedStatements, entities, onWarning });
}
