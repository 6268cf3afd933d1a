import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { CostReader } from "../../src/core/ledger.ts";
import type { Database } from "../../src/db/database.ts";
import { migrations } from "../../src/db/migrations/index.ts";
import { openDatabase } from "../../src/db/open-database.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { startLedgerUpkeep } from "../../src/ledger/ledger-upkeep.ts";
import { WRITE_MARKER } from "../../src/ledger/write-statement.ts";
import { costQuery } from "../suites/ledger-suite.ts";
import { createDatabaseLedger } from "../support/database-ledger.ts";
import { allEntities } from "../support/databases.ts";
import { expectedReport, flatten } from "../support/expected-costs.ts";
import { randomTraffic, sampleIntent, sampleOutcome, sampleRequest } from "../support/ledger-samples.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { findRollupDifferences } from "../support/rollup-differences.ts";

let postgres: TestPostgres;
const opened: Database[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
});
afterEach(async () => {
  for (const database of opened.splice(0)) await database.close();
});
afterAll(() => postgres.close());

/** Waits until a statement with this text is being executed. */
async function untilRunning(database: Database, text: string): Promise<void> {
  const running = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND strpos(query, $1) > 0";
  await expect.poll(() => database.query(running, [text])).toHaveLength(1);
}

async function open(url: string): Promise<Database> {
  const database = await openDatabase({ url, entities: allEntities });
  opened.push(database);
  return database;
}

test("several replicas may open an empty database at once", async () => {
  const url = await postgres.createDatabase();
  const databases = await Promise.all([open(url), open(url), open(url), open(url)]);
  for (const database of databases) await database.ping();
  const [applied] = await (databases[0] as Database).query(
    "SELECT count(*)::int AS count FROM mikro_orm_migrations",
  );
  expect(applied?.count).toBe(migrations.length);
});

test("an older version refuses a database that a newer one migrated", async () => {
  const url = await postgres.createDatabase();
  const database = await open(url);
  await database.query("INSERT INTO mikro_orm_migrations (name) VALUES ('Migration9999Future')");
  await expect(open(url)).rejects.toThrow(/newer version of llm-gateway .*Migration9999Future/);
});

test("a server that does not answer is an error of the opening, not a hang", async () => {
  await expect(open("postgres://gateway:gateway@127.0.0.1:1/nothing")).rejects.toThrow();
});

test("two processes that write the same hours at once lose nothing and do not deadlock", async () => {
  const url = await postgres.createDatabase();
  const databases = await Promise.all([open(url), open(url)]);
  const errors: unknown[] = [];
  const ledgers = databases.map((database) =>
    createDatabaseLedger(database, { maxBatchRows: 20, onWriteError: (error) => errors.push(error) }),
  );
  const start = new Date("2026-03-03T03:00:00Z");
  const traffic = [1, 2].map((seed) => randomTraffic({ seed, requests: 500, start, spanMs: 2 * 3_600_000 }));
  await Promise.all(
    ledgers.flatMap((ledger, index) => [
      // Each also replays the other's attempts.
      ...traffic.flatMap(({ outcomes }) => outcomes.map(ledger.settle)),
      ...(traffic[index]?.requests.map((request) => ledger.finish(request)) ?? []),
    ]),
  );
  const all = {
    outcomes: traffic.flatMap((part) => part.outcomes),
    requests: traffic.flatMap((part) => part.requests),
  };
  const query = costQuery({ groupBy: ["hour", "provider"] });
  const [database] = databases;
  const report = await createCostReader(database as Database).query(query);
  expect(flatten(report)).toEqual(expectedReport(all, query));
  expect(await findRollupDifferences((database as Database).query)).toEqual([]);
  expect(errors).toEqual([]);
});

test("replicas that make the same months, and drop the same old ones, do so once and lose nothing", async () => {
  const url = await postgres.createDatabase();
  const databases = await Promise.all([open(url), open(url), open(url)]);
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const months = Array.from({ length: 12 }, (_, index) => new Date(Date.UTC(2024, index, 15)));
  const outcomes = months.flatMap((occurredAt) => [
    sampleOutcome({ occurredAt }),
    sampleOutcome({ occurredAt }),
  ]);
  const ledgers = databases.map((database) =>
    createDatabaseLedger(database, { maxBatchRows: 3, onWriteError: onError }),
  );
  await Promise.all(ledgers.flatMap(({ settle }) => outcomes.map(settle)));
  const report = costQuery({ start: new Date("2024-01-01T00:00:00Z"), groupBy: ["month"] });
  const [reader] = databases.map((database) => createCostReader(database)) as [CostReader];
  const before = await reader.query(report);
  expect(flatten(before)).toEqual(expectedReport({ outcomes, requests: [] }, report));

  const dropped: string[] = [];
  const now = Array.from({ length: 200 }, () => sampleOutcome({ occurredAt: new Date() }));
  const upkeeps = databases.map((database) =>
    startLedgerUpkeep({
      ...{ database, retentionMonths: 2, caughtUp: async () => true, onError },
      onDropped: ({ month }) => dropped.push(month),
    }),
  );
  await Promise.all([
    ...now.map((outcome) => ledgers[0]?.settle(outcome)),
    ...upkeeps.map((upkeep) => upkeep.round()),
  ]);
  for (const upkeep of upkeeps) await upkeep.stop();
  expect(dropped.sort()).toEqual(months.map((month) => month.toISOString().slice(0, 7)));
  expect(
    flatten(await reader.query({ ...report, end: new Date("2025-01-01T00:00:00Z") })).totals.attempts,
  ).toBe(24n);
  expect(
    (await reader.query(costQuery({ start: months[0], end: new Date(Date.now() + 60_000) }))).totals.attempts,
  ).toBe(224n);
  expect(errors).toEqual([]);
});

test("a report that is running keeps its month from being dropped, and nobody waits long for that", async () => {
  const database = await open(await postgres.createDatabase());
  const ledger = createDatabaseLedger(database);
  await ledger.settle(sampleOutcome({ occurredAt: new Date("2024-05-05T00:00:00Z") }));
  const errors: unknown[] = [];
  const dropped: unknown[] = [];
  const keepUp = async () => {
    const upkeep = startLedgerUpkeep({
      ...{ database, retentionMonths: 2, caughtUp: async () => true },
      onDropped: (month) => dropped.push(month),
      onError: (error) => errors.push(error),
    });
    await upkeep.round();
    await upkeep.stop();
  };
  await database.snapshot(async (query) => {
    await query("SELECT count(*) FROM cost_record");
    const startedAtMs = performance.now();
    const kept = keepUp();
    await untilRunning(database, "drop_oldest_ledger_month");
    await Promise.all([kept, ledger.settle(sampleOutcome())]);
    expect(performance.now() - startedAtMs).toBeLessThan(10_000);
    expect(errors).toEqual([expect.objectContaining({ code: "55P03" })]);
    expect(await query("SELECT count(*)::int AS count FROM cost_record")).toEqual([{ count: 1 }]);
  });
  await keepUp();
  expect(dropped).toMatchObject([{ month: "2024-05", attempts: "1" }]);
});

test("a report waits for writes that began before its instant, and so can be repeated", async () => {
  const database = await open(await postgres.createDatabase());
  const reader = createCostReader(database);
  await createDatabaseLedger(database).settle(sampleOutcome());

  let written = false;
  const slowWrite = database.query(`${WRITE_MARKER} SELECT pg_sleep(0.6)`).then(() => {
    written = true;
  });
  await untilRunning(database, "pg_sleep(0.6)");
  const report = await reader.query(costQuery());
  expect(written).toBe(true);
  await slowWrite;
  expect(flatten(await reader.query(costQuery({ asOf: report.asOf })))).toEqual(flatten(report));
});

test("a report does not wait long for a write that hangs: it stands for the instant before it", async () => {
  const database = await open(await postgres.createDatabase());
  await createDatabaseLedger(database).settle(sampleOutcome());
  const slowWrite = database.query(`${WRITE_MARKER} SELECT clock_timestamp() AS t, pg_sleep(1.6)`);
  await untilRunning(database, "pg_sleep(1.6)");
  const askedAt = Date.now();
  const report = await createCostReader(database).query(costQuery());
  expect(report.asOf.getTime()).toBeLessThanOrEqual(askedAt);
  expect(report.totals.attempts).toBe(1n);
  await slowWrite;
});

test("while the server is away nothing accepted is lost, and the ledger recovers by itself", async () => {
  const database = await open(await postgres.createDatabase());
  const ledger = createDatabaseLedger(database, { retryDelayMs: { first: 10, max: 100 } });
  const reader = createCostReader(database);
  const open1 = sampleOutcome();
  await ledger.open(open1.intent);
  await ledger.settle(sampleOutcome());

  await postgres.stop();
  const accepted = Promise.all([ledger.settle(open1), ledger.finish(sampleRequest())]);
  try {
    await expect.poll(() => ledger.ready).toBe(false);
    await expect(ledger.open(sampleIntent())).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
    await expect(reader.query(costQuery())).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
    expect(ledger.depth).toBe(2);
    expect(ledger.oldestAgeMs).toBeGreaterThan(0);
  } finally {
    await postgres.start();
  }
  await accepted;
  expect(ledger.ready).toBe(true);
  expect((await reader.query(costQuery())).totals).toMatchObject({ attempts: 2n, requests: 1n });
}, 30_000);
