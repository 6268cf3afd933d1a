import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { settleOrphan } from "../../src/gateway/settle-attempt.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { createJournalLedger } from "../../src/ledger/journal-ledger.ts";
import { costQuery } from "../suites/ledger-suite.ts";
import { createPgliteSource } from "../support/databases.ts";
import { sampleOutcome } from "../support/ledger-samples.ts";

/** Elsewhere the success and the failure callback of one call both logged it, and the spend was counted twice. */
test("an attempt whose outcome is told twice, even differently, is charged once, as it was told first", async () => {
  const directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
  const database = await createPgliteSource().open();
  const ledger = await createJournalLedger({
    journal: await openJournal({ directory }),
    database,
    settleOrphan,
  });
  const outcome = sampleOutcome();
  await ledger.open(outcome.intent);
  await ledger.settle(outcome);
  await ledger.settle({ ...outcome, outcome: "failed", costPicoUsd: 1n });
  const reader = createCostReader(database, { beforeRead: () => ledger.caughtUp() });
  const { totals } = await reader.query(costQuery());
  expect(totals).toMatchObject({ attempts: 1n, costPicoUsd: outcome.costPicoUsd });
  await ledger.close();
  await database.close();
  rmSync(directory, { recursive: true });
});
