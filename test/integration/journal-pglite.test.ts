import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openDatabase } from "../../src/db/open-database.ts";
import { settleOrphan } from "../../src/gateway/settle-attempt.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { createJournalLedger } from "../../src/ledger/journal-ledger.ts";
import { describeJournal } from "../suites/journal-suite.ts";
import { allEntities, createPgliteSource } from "../support/databases.ts";
import { sampleOutcome } from "../support/ledger-samples.ts";

const source = createPgliteSource();
describeJournal("the embedded database", () => source);

test("the journal keeps a row until the database's files are synced, and beside them in one directory", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "llm-gateway-data-"));
  const database = await openDatabase({ dataDir, entities: allEntities });
  const journal = await openJournal({ directory: join(dataDir, "journal") });
  const errors: unknown[] = [];
  const ledger = await createJournalLedger({
    ...{ journal, database, settleOrphan, syncIntervalMs: 500, onSyncError: (error) => errors.push(error) },
  });
  await ledger.settle(sampleOutcome());
  await ledger.caughtUp();
  expect(await journal.read(0, 10)).toHaveLength(1);
  await expect.poll(() => journal.read(0, 10), { timeout: 10_000 }).toEqual([]);
  // A second one looks only at what has changed since.
  await ledger.settle(sampleOutcome());
  await ledger.caughtUp();
  await expect.poll(() => journal.read(0, 10), { timeout: 10_000 }).toEqual([]);
  expect(errors).toEqual([]);
  await ledger.close();
  await database.close();
  rmSync(dataDir, { recursive: true });
}, 40_000);
