import type { SqlQuery } from "../../src/ledger/ledger-database.ts";

/** Takes the indexes of a partitioned table away, and returns the statements that put them back. */
export async function takeIndexesAway(query: SqlQuery, table: string): Promise<readonly string[]> {
  const indexes = await definitionsOf(
    query,
    `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
     FROM pg_index WHERE indrelid = $1::regclass AND NOT indisprimary`,
    table,
  );
  const constraints = await definitionsOf(
    query,
    `SELECT conname AS name, pg_get_constraintdef(oid) AS definition
     FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'`,
    table,
  );
  for (const { name } of indexes) await query(`DROP INDEX ${name}`);
  for (const { name } of constraints) await query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`);
  return [
    ...constraints.map(({ name, definition }) => `ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}`),
    ...indexes.map(({ definition }) => definition.replace(" ON ONLY ", " ON ")),
  ];
}

async function definitionsOf(query: SqlQuery, text: string, table: string) {
  const rows = await query(text, [table]);
  return rows.map(({ name, definition }) => ({ name: String(name), definition: String(definition) }));
}
