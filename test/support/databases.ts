import type { Database } from "../../src/db/database.ts";
import { openDatabase } from "../../src/db/open-database.ts";
import { keyEntities } from "../../src/keys/entities.ts";
import { ledgerEntities } from "../../src/ledger/entities.ts";

/** The entities of every store, as the gateway opens its database with them. */
export const allEntities = [...ledgerEntities, ...keyEntities] as const;

/** Opens fresh databases of one kind, each empty and with the whole schema. */
export interface DatabaseSource {
  open(): Promise<Database>;
}

/**
 * Fresh embedded databases in memory. The first one is made by the migrations (seconds), the others from a dump of it
 * (0.3 s each).
 */
export function createPgliteSource(): DatabaseSource {
  let dump: Promise<Blob> | undefined;
  return {
    open: async () => {
      dump ??= dumpMigratedDatabase();
      return await openDatabase({ entities: allEntities, initialDump: await dump });
    },
  };
}

async function dumpMigratedDatabase(): Promise<Blob> {
  const database = await openDatabase({ entities: allEntities });
  const connection = database.orm.em.getConnection();
  if (!("getNativeClient" in connection) || typeof connection.getNativeClient !== "function") {
    throw new Error("not an embedded database");
  }
  const pglite = (await connection.getNativeClient()) as { dumpDataDir(compression: "none"): Promise<Blob> };
  const dump = await pglite.dumpDataDir("none");
  await database.close();
  return dump;
}
