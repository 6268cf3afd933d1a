import { expect } from "vitest";
import { openDatabase } from "../../src/db/open-database.ts";
import { allEntities } from "./databases.ts";

const SUMS = "attempts, tokens_in, tokens_out, cost_usd";
const KEY = "hour, api_key_id, provider, model";

/** Groups whose hourly sums differ from the sums of their records, either way. */
const DIFFERENCES = `
  WITH summed AS (
    SELECT date_trunc('hour', occurred_at, 'UTC') AS hour, api_key_id, provider, model, count(*) AS attempts,
           coalesce(sum(tokens_in), 0) AS tokens_in, coalesce(sum(tokens_out), 0) AS tokens_out,
           coalesce(sum(cost_usd), 0) AS cost_usd
    FROM cost_record GROUP BY 1, 2, 3, 4
  ), kept AS (
    SELECT ${KEY}, ${SUMS} FROM cost_rollup_hourly WHERE attempts <> 0
  )
  (SELECT 'records' AS side, ${KEY}, ${SUMS} FROM summed EXCEPT SELECT 'records', ${KEY}, ${SUMS} FROM kept)
  UNION ALL
  (SELECT 'rollup', ${KEY}, ${SUMS} FROM kept EXCEPT SELECT 'rollup', ${KEY}, ${SUMS} FROM summed)`;

/** sum(records) = rollups, asked of the tables themselves. */
export async function expectRollupsToAgree(databaseUrl: string): Promise<void> {
  const database = await openDatabase({ url: databaseUrl, entities: allEntities });
  try {
    expect(await database.query(DIFFERENCES)).toEqual([]);
  } finally {
    await database.close();
  }
}
