import { AsyncLocalStorage } from "node:async_hooks";
import { join } from "node:path";
import { MikroORM, type PgliteConnection } from "@mikro-orm/pglite";
import type { DatabaseDriver, DriverOptions, ReadSession, SqlQuery, SqlRow, SqlValue } from "./database.ts";
import { lockDataDirectory } from "./directory-lock.ts";
import { createDirectorySync } from "./directory-sync.ts";
import { ormOptions } from "./orm-options.ts";

export interface PgliteOptions extends DriverOptions {
  /** Undefined keeps everything in memory. */
  readonly dataDir: string | undefined;
  /** A directory dump (`dumpDataDir` of PGlite) to start from instead of an empty database. */
  readonly initialDump: Blob | undefined;
}

/** The part of PGlite and of its transactions that is used here. */
interface PgliteQueryable {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
}

/** PostgreSQL inside this process, in `<dataDir>/db`. One connection: statements and snapshots run one by one. */
export async function openPglite(options: PgliteOptions): Promise<DatabaseDriver> {
  const directory = options.dataDir === undefined ? undefined : join(options.dataDir, "db");
  const lock = options.dataDir === undefined ? undefined : await lockDataDirectory(options.dataDir);
  try {
    const orm = await MikroORM.init({
      ...ormOptions(options),
      dbName: directory ?? "memory://",
      // A function, because the ORM copies the properties of an object and so would break the Blob.
      driverOptions: () => ({ loadDataDir: options.initialDump }),
    });
    const connection: PgliteConnection = orm.em.getConnection();
    const pglite = await connection.getNativeClient();
    const inSnapshot = new AsyncLocalStorage<true>();
    const refuseInSnapshot = (): void => {
      if (inSnapshot.getStore())
        throw new Error("a query outside the snapshot that is running would wait for ever");
    };

    const session: ReadSession = {
      kind: "pglite",
      query: async (text, values) => {
        refuseInSnapshot();
        return await queryOf(pglite)(text, values);
      },
      snapshot: async (work) => {
        refuseInSnapshot();
        return await pglite.transaction(async (transaction) => {
          await transaction.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
          return await inSnapshot.run(true, () => work(queryOf(transaction)));
        });
      },
    };

    return {
      ...session,
      orm,
      // There is one connection anyway.
      reading: (work) => work(session),
      sync: directory === undefined ? undefined : createSync(queryOf(pglite), directory),
      exclusively: (work) => work(orm),
      close: async () => {
        await orm.close(true);
        lock?.release();
      },
    };
  } catch (error) {
    lock?.release();
    throw error;
  }
}

/**
 * PGlite never calls fsync. A checkpoint writes every committed page to the files, which are then synced here; so
 * recovery after a power loss starts from a state that is on the disk.
 */
function createSync(query: SqlQuery, directory: string): () => Promise<void> {
  const syncFiles = createDirectorySync(directory);
  return async () => {
    await query("CHECKPOINT");
    await syncFiles();
  };
}

function queryOf(target: PgliteQueryable): SqlQuery {
  return async (text: string, values: readonly SqlValue[] = []) => {
    const result = await target.query(text, [...values]);
    return result.rows as SqlRow[];
  };
}
