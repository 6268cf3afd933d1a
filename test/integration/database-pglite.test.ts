import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openDatabase } from "../../src/db/open-database.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { costQuery } from "../suites/ledger-suite.ts";
import { createDatabaseLedger } from "../support/database-ledger.ts";
import { allEntities } from "../support/databases.ts";
import { sampleOutcome } from "../support/ledger-samples.ts";
import { spawnProgram } from "../support/spawn-program.ts";

let dataDir: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "llm-gateway-data-"));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

const openHere = () => openDatabase({ dataDir, entities: allEntities });

/** Starts the process that writes until it is killed; resolves once its database is open. */
async function startWriting() {
  const script = fileURLToPath(new URL("../support/writing-process.ts", import.meta.url));
  const child = spawnProgram([script, dataDir]);
  child.stderr.pipe(process.stderr, { end: false });
  children.push(child);
  const acknowledged: string[] = [];
  const lines = createInterface({ input: child.stdout });
  const isOpen = once(lines, "line");
  lines.on("line", (line) => acknowledged.push(line));
  expect((await isOpen)[0]).toBe("open");
  return {
    acknowledged,
    kill: async () => {
      const closed = once(lines, "close");
      child.kill("SIGKILL");
      await closed;
      return acknowledged.filter((line) => line.length === 36);
    },
  };
}

test("the directory belongs to one process, whose death frees it, with every acknowledged record in it", async () => {
  const writing = await startWriting();

  const startedAtMs = performance.now();
  await expect(openHere()).rejects.toThrow(`the data directory ${dataDir} is in use by another process`);
  expect(performance.now() - startedAtMs).toBeLessThan(1_000);

  await expect.poll(() => writing.acknowledged.length, { timeout: 10_000 }).toBeGreaterThan(500);
  const acknowledged = await writing.kill();

  const database = await openHere();
  try {
    const rows = await database.query("SELECT attempt_id::text AS id FROM cost_record");
    const stored = new Set(rows.map((row) => row.id));
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
    const { totals } = await createCostReader(database).query(costQuery());
    expect(totals.attempts).toBe(BigInt(stored.size));
  } finally {
    await database.close();
  }
}, 60_000);

test("the directory is refused to a second opening in the same process, and free again after closing", async () => {
  const database = await openHere();
  await expect(openHere()).rejects.toThrow("in use");
  await createDatabaseLedger(database).settle(sampleOutcome());
  await database.close();
  const again = await openHere();
  await again.ping();
  await again.close();
});

test("an older version refuses a directory that a newer one migrated, and lets go of it", async () => {
  const database = await openHere();
  await database.query("INSERT INTO mikro_orm_migrations (name) VALUES ('Migration9999Future')");
  await database.close();
  await expect(openHere()).rejects.toThrow("Migration9999Future");
  await expect(openHere()).rejects.toThrow("Migration9999Future");
});

test("a query beside the snapshot that is running is an error instead of a hang", async () => {
  const database = await openDatabase({ entities: allEntities });
  await expect(database.snapshot(() => database.query("SELECT 1"))).rejects.toThrow("wait for ever");
  await expect(database.snapshot((query) => query("DELETE FROM price"))).rejects.toThrow("read-only");
  expect(await database.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
  await database.close();
});
