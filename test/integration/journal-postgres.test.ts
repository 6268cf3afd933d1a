import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AttemptOutcome } from "../../src/core/ledger.ts";
import { openDatabase } from "../../src/db/open-database.ts";
import { settleOrphan } from "../../src/gateway/settle-attempt.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { createJournalLedger } from "../../src/ledger/journal-ledger.ts";
import { describeJournal } from "../suites/journal-suite.ts";
import { costQuery } from "../suites/ledger-suite.ts";
import { allEntities } from "../support/databases.ts";
import { expectedReport, flatten } from "../support/expected-costs.ts";
import { sampleOutcome } from "../support/ledger-samples.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.close());

const open = async () => openDatabase({ url: await postgres.createDatabase(), entities: allEntities });

describeJournal("PostgreSQL", () => ({ open }));

/** What a server that is up may answer to a write, and takes back by itself: full, failed over, going, crowded, … */
const PASSING_STATES = [
  "53100",
  "53200",
  "53300",
  "25006",
  "57P01",
  "57P03",
  "08006",
  "40P01",
  "55P03",
  "58030",
];

test.each(PASSING_STATES)(
  "rows that the server answers with SQLSTATE %s are kept, and stored once it takes them",
  async (state) => {
    const directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
    const database = await open();
    const errors: unknown[] = [];
    const rejected: unknown[] = [];
    const ledger = await createJournalLedger({
      journal: await openJournal({ directory }),
      ...{ database, settleOrphan, retryDelayMs: { first: 5, max: 20 } },
      onWriteError: (error) => errors.push(error),
      onRejected: (error) => rejected.push(error),
    });
    await database.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '${state}'; END $$`);
    await database.query("CREATE TRIGGER refuse BEFORE INSERT ON cost_record EXECUTE FUNCTION refuse()");
    const outcomes = Array.from({ length: 20 }, () => sampleOutcome());
    await Promise.all(
      outcomes.map(async (outcome) => {
        await ledger.open(outcome.intent);
        await ledger.settle(outcome);
      }),
    );
    await expect.poll(() => errors.length).toBeGreaterThan(2);
    expect(errors[0]).toMatchObject({ code: state });
    expect([ledger.ready, ledger.depth]).toEqual([true, 20]);
    await database.query("DROP TRIGGER refuse ON cost_record");
    await expect.poll(() => ledger.depth).toBe(0);
    const query = costQuery({ groupBy: ["hour"] });
    const report = await createCostReader(database).query(query);
    expect(flatten(report)).toEqual(expectedReport({ outcomes, requests: [] }, query));
    expect(rejected).toEqual([]);
    await ledger.close();
    await database.close();
    rmSync(directory, { recursive: true });
  },
);

test("a server that goes away and comes back under load loses nothing, and is caught up within ten seconds", async () => {
  const directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
  const database = await open();
  const errors: unknown[] = [];
  const ledger = await createJournalLedger({
    journal: await openJournal({ directory }),
    database,
    settleOrphan,
    onWriteError: (error) => errors.push(error),
  });
  const acknowledged: AttemptOutcome[] = [];
  let going = true;
  const work = async () => {
    while (going) {
      const outcome = sampleOutcome();
      await ledger.open(outcome.intent);
      await ledger.settle(outcome);
      acknowledged.push(outcome);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const workers = Array.from({ length: 8 }, work);
  try {
    await expect.poll(() => acknowledged.length).toBeGreaterThan(200);
    for (let outage = 0; outage < 2; outage++) {
      await postgres.stop();
      const before = acknowledged.length;
      await expect.poll(() => errors.length, { timeout: 10_000 }).toBeGreaterThan(outage);
      await expect.poll(() => acknowledged.length - before, { timeout: 10_000 }).toBeGreaterThan(300);
      expect(ledger.ready).toBe(true);
      expect(ledger.depth).toBeGreaterThan(0);
      await postgres.start();
      const backAtMs = performance.now();
      await expect.poll(() => ledger.depth, { timeout: 10_000, interval: 20 }).toBeLessThan(30);
      expect(performance.now() - backAtMs).toBeLessThan(10_000);
    }
  } finally {
    going = false;
    await Promise.all(workers);
  }
  const reader = createCostReader(database, { beforeRead: () => ledger.caughtUp() });
  const query = costQuery({ groupBy: ["hour"] });
  const report = await reader.query(query);
  expect(flatten(report)).toEqual(expectedReport({ outcomes: acknowledged, requests: [] }, query));
  await ledger.close();
  await database.close();
  rmSync(directory, { recursive: true });
}, 60_000);
