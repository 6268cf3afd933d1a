import type { DatabaseDriver, SqlQuery } from "./database.ts";
import { migrations } from "./migrations/index.ts";

/** The database was migrated by a newer version of the gateway. */
export class SchemaTooNewError extends Error {
  override readonly name = "SchemaTooNewError";

  constructor(unknown: readonly string[]) {
    super(
      `the database was migrated by a newer version of llm-gateway (unknown here: ${unknown.join(", ")}); ` +
        "run that version or a later one",
    );
  }
}

/** The database waits for a migration that was not asked for. */
export class SchemaTooOldError extends Error {
  override readonly name = "SchemaTooOldError";

  constructor() {
    super(
      "the database is that of an older version of llm-gateway: start this version's gateway once, it migrates",
    );
  }
}

/** @throws SchemaTooOldError, SchemaTooNewError */
export async function assertMigrated(driver: Pick<DatabaseDriver, "query">): Promise<void> {
  if ((await countPending(driver.query)) > 0) throw new SchemaTooOldError();
}

/**
 * Brings the schema up to date. Several processes may do so at once: one migrates, the others wait for it.
 * @throws SchemaTooNewError
 */
export async function migrate(driver: DatabaseDriver): Promise<void> {
  if ((await countPending(driver.query)) === 0) return;
  await driver.exclusively(async (orm) => {
    if ((await countPending(driver.query)) > 0) await orm.migrator.up();
  });
}

/** @throws SchemaTooNewError */
async function countPending(query: SqlQuery): Promise<number> {
  const known = migrations.map((migration) => migration.name);
  const applied = await readApplied(query);
  const unknown = applied.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new SchemaTooNewError(unknown);
  return known.filter((name) => !applied.includes(name)).length;
}

async function readApplied(query: SqlQuery): Promise<readonly string[]> {
  const [table] = await query("SELECT to_regclass('mikro_orm_migrations') IS NOT NULL AS exists");
  if (table?.exists !== true) return [];
  const rows = await query("SELECT name FROM mikro_orm_migrations ORDER BY id");
  return rows.map((row) => String(row.name));
}
