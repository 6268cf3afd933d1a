import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Database } from "../../src/db/database.ts";
import { settleOrphan } from "../../src/gateway/settle-attempt.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { createJournalLedger } from "../../src/ledger/journal-ledger.ts";
import { costQuery } from "../suites/ledger-suite.ts";
import { createPgliteSource } from "../support/databases.ts";
import { expectedReport, flatten } from "../support/expected-costs.ts";
import { sampleOutcome, sampleRequest } from "../support/ledger-samples.ts";

/**
 * Elsewhere the batch was cleared before its write had succeeded, so that spend was gone after an error or a restart;
 * or it was written again after a reply that got lost, and counted twice.
 */

const source = createPgliteSource();
let directory: string;
let database: Database;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
  database = await source.open();
});
afterEach(async () => {
  await database.close();
  rmSync(directory, { recursive: true, force: true });
});

type Failure = "refused" | "reply lost";

/** Fails the given ways one after the other, then works. */
function failing(failures: Failure[]): Pick<Database, "query" | "sync"> {
  return {
    sync: database.sync,
    async query(text, values, name) {
      const failure = failures.shift();
      if (failure === "refused") throw new Error("connection refused");
      const rows = await database.query(text, values, name);
      if (failure === "reply lost") throw new Error("connection reset");
      return rows;
    },
  };
}

async function startLedger(through: Pick<Database, "query" | "sync">) {
  const journal = await openJournal({ directory });
  const retryDelayMs = { first: 1, max: 5 };
  return await createJournalLedger({ journal, database: through, settleOrphan, retryDelayMs });
}

test.each<{ readonly failures: readonly Failure[]; readonly restart: boolean }>([
  { failures: ["refused", "refused", "refused"], restart: false },
  { failures: ["reply lost", "reply lost"], restart: false },
  { failures: ["reply lost", "refused", "reply lost"], restart: true },
])("after $failures (restart: $restart) every attempt is on record exactly once", async (scenario) => {
  const failures = [...scenario.failures];
  let ledger = await startLedger(failing(failures));
  const outcomes = Array.from({ length: 30 }, (_, index) => sampleOutcome({ requestId: `request-${index}` }));
  const requests = outcomes.map(({ intent: { requestId } }) => sampleRequest({ requestId }));
  await Promise.all(outcomes.map(({ intent }) => ledger.open(intent)));
  await Promise.all([...outcomes.map(ledger.settle), ...requests.map((entry) => ledger.finish(entry))]);
  if (scenario.restart) {
    await ledger.close(0);
    ledger = await startLedger(failing(failures));
  }
  await expect.poll(() => ledger.depth).toBe(0);
  expect(failures).toEqual([]);

  const query = costQuery({ groupBy: ["provider", "hour"] });
  const report = await createCostReader(database).query(query);
  expect(flatten(report)).toEqual(expectedReport({ outcomes, requests }, query));
  await ledger.close();
});
