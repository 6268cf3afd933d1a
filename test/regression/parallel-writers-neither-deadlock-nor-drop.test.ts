import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase } from "../../src/db/open-database.ts";
import { settleOrphan } from "../../src/gateway/settle-attempt.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { createJournalLedger, type JournalLedger } from "../../src/ledger/journal-ledger.ts";
import { costQuery } from "../suites/ledger-suite.ts";
import { allEntities } from "../support/databases.ts";
import { expectedReport, flatten } from "../support/expected-costs.ts";
import { createRandom, sampleOutcome, sampleRequest } from "../support/ledger-samples.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";

/** Elsewhere every replica upserted its counters in its own order: they deadlocked, and increments were dropped. */

const REPLICAS = 4;
const ATTEMPTS = 600;
const PROVIDERS = ["openai", "deepseek", "huggingface"];
const SEED = 11;

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.close());

test(`${REPLICAS} replicas that write the same sums in any order (seed ${SEED}) lose nothing and never wait in a circle`, async () => {
  const random = createRandom(SEED);
  const pick = (values: readonly string[]) => values[Math.floor(random() * values.length)] ?? "";
  const url = await postgres.createDatabase();
  const errors: unknown[] = [];
  const directories: string[] = [];
  const start = async (): Promise<{ ledger: JournalLedger; close(): Promise<void> }> => {
    const directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
    directories.push(directory);
    const database = await openDatabase({ url, entities: allEntities });
    const journal = await openJournal({ directory });
    const onWriteError = (error: unknown) => errors.push(error);
    // Small batches: many transactions meet.
    const ledger = await createJournalLedger({
      journal,
      database,
      settleOrphan,
      onWriteError,
      maxBatchRows: 8,
    });
    return { ledger, close: () => ledger.close().then(() => database.close()) };
  };
  const replicas = await Promise.all(Array.from({ length: REPLICAS }, start));
  const outcomes = Array.from({ length: ATTEMPTS }, (_, index) =>
    sampleOutcome({ requestId: `request-${index}`, provider: pick(PROVIDERS), model: pick(["a", "b", "c"]) }),
  );
  const requests = outcomes.map(({ intent: { requestId, provider, model } }) =>
    sampleRequest({ requestId, provider, model }),
  );
  await Promise.all(
    outcomes.map(async (outcome, index) => {
      const { ledger } = replicas[index % REPLICAS] ?? {};
      await ledger?.open(outcome.intent);
      await ledger?.settle(outcome);
      await ledger?.finish(requests[index] ?? sampleRequest());
    }),
  );
  await Promise.all(replicas.map(({ close }) => close()));
  expect(errors).toEqual([]);

  const database = await openDatabase({ url, entities: allEntities });
  const query = costQuery({ groupBy: ["provider", "model"] });
  const report = await createCostReader(database).query(query);
  expect(flatten(report)).toEqual(expectedReport({ outcomes, requests }, query));
  await database.close();
  for (const directory of directories) rmSync(directory, { recursive: true });
});
