import { cpSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Database } from "../../../src/db/database.ts";
import { openDatabase } from "../../../src/db/open-database.ts";
import { createDatabaseWriter } from "../../../src/ledger/database-writer.ts";
import { DEFAULT_REPLAY_LIMITS } from "../../../src/ledger/journal.ts";
import { decodePrice } from "../../../src/ledger/journal-codec.ts";
import { openJournalStore } from "../../../src/ledger/journal-store.ts";
import { keyOf, ROLLUPS } from "../../../src/ledger/rollups.ts";
import { startCrashBench } from "../../support/crash/crash-bench.ts";
import { openCrashLane } from "../../support/crash/crash-lane.ts";
import { allEntities } from "../../support/databases.ts";
import { expectLawL } from "../../support/law-l.ts";
import { startPostgres } from "../../support/postgres.ts";
import { expectRollupsToAgree } from "../../support/rollups.ts";
import { figuresOf, type ScenarioFigures, scenario } from "../../support/scenario.ts";

const TABLES: Readonly<Record<string, string>> = {
  cost_record: "record_id",
  request_log: "request_log_id",
  price: "price_id",
  ...Object.fromEntries(ROLLUPS.map((rollup) => [rollup.table, keyOf(rollup).join(", ")])),
};

const COPY = "copy";

/** Every table of the ledger, to the last column of the last row. */
async function digest(database: Database): Promise<readonly unknown[]> {
  const tables = Object.entries(TABLES).map(([table, key]) =>
    database.query(
      `SELECT count(*)::int AS rows, md5(string_agg(t::text, ',' ORDER BY ${key})) AS hash FROM ${table} t`,
    ),
  );
  return (await Promise.all(tables)).flat();
}

/** All rows of a journal, each `times` times, in random order, through the writer that the gateway has. */
async function replay(
  database: Database,
  { file, times, random }: { readonly file: string; readonly times: number; readonly random: () => number },
): Promise<number> {
  const store = openJournalStore({ file, maxBytes: 2 ** 32, replayLimits: DEFAULT_REPLAY_LIMITS });
  const { prices } = store.content();
  const rows = store.read(0, 1_000_000);
  store.close();
  const rejected: unknown[] = [];
  const { writer, prices: known } = createDatabaseWriter(database, {
    onRejected: (error) => rejected.push(error),
    // Small batches, so that the same row also comes in many of them.
    maxBatchRows: 37,
  });
  for (const price of prices) known.remember(decodePrice(price));
  const shuffled = Array.from({ length: times }, () => rows)
    .flat()
    .map((row) => ({ row, place: random() }))
    .toSorted((a, b) => a.place - b.place);
  await Promise.all(shuffled.map(({ row }) => writer.add(row)));
  expect(rejected).toEqual([]);
  return rows.length;
}

async function replayWholeJournal(answers: number, random: (stream: number) => () => number) {
  const postgres = await startPostgres();
  const bench = await startCrashBench();
  const lane = await openCrashLane(bench, { name: "r", databaseUrl: postgres.url, random: random(0) });
  const database = await openDatabase({ url: postgres.url, entities: allEntities });
  try {
    // With the database away nothing is trimmed; the kill leaves orphans beside the rows.
    await lane.start();
    await postgres.kill();
    await lane.loadAndKill(0, { phase: "load", sight: "answer", nth: answers, delayMs: 0 }, 60_000);
    const copy = join(bench.folder, COPY);
    cpSync(join(bench.folder, lane.name), copy, { recursive: true });
    await postgres.start();
    await lane.start();
    const evidence = lane.evidence();
    const report = await expectLawL(evidence);
    const before = await digest(database);

    const twin = await openCrashLane(bench, { name: COPY, databaseUrl: postgres.url, random: random(1) });
    const file = join(copy, "journal", "journal.sqlite");
    const rows = await replay(database, { file, times: 2, random: random(2) });
    expect(rows).toBeGreaterThan(answers);
    expect(await digest(database)).toEqual(before);
    // A gateway that finds the same journal ships the same rows, and settles the same orphans again.
    await twin.start();
    expect(await twin.stop()).toBe(0);
    await twin.close();
    expect(await digest(database)).toEqual(before);
    await expectLawL(evidence, "thorough");
    await expectRollupsToAgree(postgres.url);
    expect(await lane.stop()).toBe(0);
    const notes = `${rows} rows of the journal written twice more, in random order`;
    return { ...figuresOf(report), kills: 1, calls: evidence.calls.size, notes } satisfies ScenarioFigures;
  } finally {
    await lane.close();
    await database.close();
    await bench.close();
    await postgres.close();
  }
}

export function describeReplay(): void {
  scenario(
    "a whole journal written twice more in random order changes nothing",
    { short: 300, long: 5_000, timeoutMs: { short: 240_000, long: 300_000 } },
    ({ size, random }) => replayWholeJournal(size, random),
  );
}
