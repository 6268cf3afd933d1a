import { expect } from "vitest";
import { openDatabase } from "../../src/db/open-database.ts";
import { allEntities } from "./databases.ts";
import { findRollupDifferences } from "./rollup-differences.ts";

/** sum(records) = rollups, asked of the tables themselves. */
export async function expectRollupsToAgree(databaseUrl: string): Promise<void> {
  const database = await openDatabase({ url: databaseUrl, entities: allEntities });
  try {
    expect(await findRollupDifferences(database.query)).toEqual([]);
  } finally {
    await database.close();
  }
}
