import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import { LIST_PRICES } from "../../simulator/prices.ts";
import type { Database } from "../../src/db/database.ts";

const LINES_AT_ONCE = 2_000;

const BILL_COLUMNS = `
  "callId" text, reference text, personality text, model text, stream boolean, "tokensIn" bigint,
  "cachedTokensIn" bigint, "cacheWriteTokensIn" bigint, "tokensOut" bigint, "reasoningTokens" bigint, state text`;

/** Puts the provider's bill beside the ledger, as a table `bill`, and its price list as `list_price`. */
async function loadBill(database: Database, billFile: string): Promise<number> {
  await database.query(`CREATE TABLE bill (${BILL_COLUMNS})`);
  await database.query(
    "CREATE TABLE list_price (personality text, model text, input numeric, cached numeric, written numeric, output numeric)",
  );
  const prices = LIST_PRICES.map((price) => ({
    ...{ personality: price.personality, model: price.model, input: price.inputUsdPerMillion },
    ...{ cached: price.cachedInputUsdPerMillion, written: price.cacheWriteInputUsdPerMillion },
    output: price.outputUsdPerMillion,
  }));
  await database.query(
    "INSERT INTO list_price SELECT * FROM json_populate_recordset(null::list_price, $1::json)",
    [JSON.stringify(prices)],
  );
  let lines = 0;
  let waiting: string[] = [];
  const flush = async () => {
    const json = `[${waiting.join(",")}]`;
    lines += waiting.length;
    waiting = [];
    await database.query("INSERT INTO bill SELECT * FROM json_populate_recordset(null::bill, $1::json)", [
      json,
    ]);
  };
  for await (const line of createInterface({ input: createReadStream(billFile) })) {
    waiting.push(line);
    if (waiting.length >= LINES_AT_ONCE) await flush();
  }
  await flush();
  await database.query(`CREATE INDEX ON bill ("callId")`);
  await database.query("ANALYZE bill");
  return lines;
}

/** The tokenizer that estimates count with makes up to three tokens of a word for which the simulator bills one. */
const MOST_TOKENS_A_WORD = 3;

/** Each finds what Law L forbids. Lines and records meet by the provider's own id of the call. */
const VIOLATIONS: Readonly<Record<string, string>> = {
  "a call that is not on the ledger exactly once": `
    SELECT "callId", reference, state, stream, count(record_id)::int AS records FROM bill
    LEFT JOIN in_force ON provider_request_id = "callId"
    GROUP BY 1, 2, 3, 4 HAVING count(record_id) <> 1`,
  "a record that nobody billed": `
    SELECT record_id::text, provider_request_id, billing_state FROM in_force
    WHERE NOT EXISTS (SELECT FROM bill WHERE "callId" = provider_request_id)
      AND NOT (billing_state = 'not_billed' AND cost_usd = 0)`,
  "tokens that differ from the bill": `
    SELECT "callId" FROM pair WHERE usage_source = 'reported' AND (
      tokens_in, tokens_out, coalesce(cache_read_tokens_in, 0), coalesce(cache_write_tokens_in, 0),
      coalesce(reasoning_tokens_out, 0)
    ) IS DISTINCT FROM ("tokensIn", "tokensOut", "cachedTokensIn", "cacheWriteTokensIn", "reasoningTokens")`,
  "picodollars that differ from the bill": `
    SELECT "callId", cost_usd::text, billed_usd::text FROM pair
    WHERE usage_source = 'reported' AND cost_usd IS DISTINCT FROM billed_usd`,
  "a price that is missing, and not said to be": `
    SELECT "callId" FROM pair
    WHERE usage_source = 'reported' AND (billing_state = 'unpriced') <> (billed_usd IS NULL)`,
  "a completed call that is a guess": `
    SELECT "callId" FROM pair
    WHERE state = 'completed' AND usage_source <> 'reported' AND reference <> '{noUsage}'`,
  "an interrupted call that is no guess, or one upwards": `
    SELECT "callId" FROM pair WHERE state = 'interrupted' AND (
      billing_state NOT IN ('settled', 'unknown') OR usage_source <> 'estimated'
      OR tokens_out NOT BETWEEN 0 AND ${MOST_TOKENS_A_WORD} * "tokensOut")`,
  "a refused call that costs": `
    SELECT "callId" FROM pair WHERE state = 'refused' AND (billing_state <> 'not_billed' OR cost_usd <> 0)`,
};

/** What holds of each attempt after its corrections. */
const IN_FORCE = `CREATE TABLE in_force AS
  SELECT DISTINCT ON (attempt_id) * FROM cost_record WHERE kind <> 'reversal' ORDER BY attempt_id, revision DESC`;

const PAIR = `CREATE TABLE pair AS
  SELECT in_force.*, bill.reference, bill.state, bill."callId", bill."tokensIn", bill."tokensOut",
    bill."cachedTokensIn", bill."cacheWriteTokensIn", bill."reasoningTokens",
    (("tokensIn" - "cachedTokensIn" - "cacheWriteTokensIn") * list_price.input + "cachedTokensIn" * list_price.cached
      + "cacheWriteTokensIn" * list_price.written + "tokensOut" * list_price.output) / 1000000 AS billed_usd
  FROM bill JOIN in_force ON provider_request_id = "callId"
  LEFT JOIN list_price ON list_price.personality = bill.personality AND list_price.model = bill.model`;

const WORST = 5;

/**
 * Law L for more calls than fit into memory: the bill's file and the ledger are compared row by row by the database.
 * Resolves to the number of lines of the bill.
 */
export async function expectLawLInSql(
  database: Database,
  options: { readonly billFile: string; readonly noUsage: string },
): Promise<number> {
  const lines = await loadBill(database, options.billFile);
  for (const statement of [
    IN_FORCE,
    "CREATE INDEX ON in_force (provider_request_id)",
    "ANALYZE in_force",
    PAIR,
  ])
    await database.query(statement);
  for (const [violation, sql] of Object.entries(VIOLATIONS)) {
    const found = await database.query(`${sql.replace("{noUsage}", options.noUsage)} LIMIT ${WORST}`);
    expect(found, violation).toEqual([]);
  }
  return lines;
}
