import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { JOURNAL_FILE, type Journal, type JournalOptions, openJournal } from "../../../src/ledger/journal.ts";
import type { JournalOperation } from "../../../src/ledger/journal-store.ts";
import { FSYNC_FAILS } from "../../support/faulty-journal-program.ts";
import { mountSmallDisk, type SmallDisk } from "../../support/small-disk.ts";

const FAULTY = new URL("../../support/faulty-journal-program.ts", import.meta.url);
const REFUSED = { reason: "LEDGER_UNAVAILABLE" };
const MIB = 1_024 ** 2;

let directory: string;
let opened: Journal[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
});
afterEach(async () => {
  for (const journal of opened) await journal.close();
  opened = [];
  rmSync(directory, { recursive: true, force: true });
});

async function open(options: Partial<JournalOptions> = {}): Promise<Journal> {
  const journal = await openJournal({ directory, retryDelayMs: { first: 1, max: 20 }, ...options });
  opened.push(journal);
  return journal;
}

const intent = (attemptId: string): JournalOperation => ({ kind: "open", attemptId, json: `"${attemptId}"` });
const row = (attemptId: string, bytes = 10): JournalOperation => ({
  ...{ kind: "row", table: "cost_record", json: `"${"x".repeat(bytes)}"`, priceId: undefined, attemptId },
});

test("while fsync fails intents are refused, outcomes are kept and not acknowledged, and it recovers by itself", async () => {
  const errors: unknown[] = [];
  const journal = await open({ program: FAULTY, onWriteError: (error) => errors.push(error) });
  await journal.add([intent("a")], "refuse");
  writeFileSync(join(directory, FSYNC_FAILS), "");
  await expect(journal.add([intent("lost")], "refuse")).rejects.toMatchObject(REFUSED);
  let acknowledged = false;
  const settled = journal.add([row("a")], "keep").then(() => {
    acknowledged = true;
  });
  await expect.poll(() => errors.length).toBeGreaterThan(5);
  expect(String(errors[0])).toContain("EIO");
  await expect(journal.add([intent("b")], "refuse")).rejects.toMatchObject(REFUSED);
  expect([acknowledged, journal.failing, journal.depth > 0]).toEqual([false, true, true]);

  rmSync(join(directory, FSYNC_FAILS));
  await settled;
  await expect.poll(() => journal.failing).toBe(false);
  await journal.add([intent("c")], "refuse");
  opened = [];
  await journal.close();
  const next = await open();
  // The refused intent had been written each time, and was taken back; the outcome is there, however often.
  expect(next.content.intents.map(({ json }) => json)).toEqual(['"c"']);
  expect(new Set((await next.read(0, 100)).map(({ json }) => json)).size).toBe(1);
});

test("its log stays small however long the database is away, and the file gives its room to later rows", async () => {
  const journal = await open();
  const logBytes = () => statSync(join(directory, `${JOURNAL_FILE}-wal`)).size;
  let largest = 0;
  for (let batch = 0; batch < 60; batch++) {
    await Promise.all(
      Array.from({ length: 500 }, (_, index) => journal.add([row(`${batch}-${index}`, 900)], "keep")),
    );
    await journal.read(batch * 500, 500);
    largest = Math.max(largest, logBytes());
  }
  expect(largest).toBeLessThan(8 * MIB);
  expect(journal.usedBytes).toBeGreaterThan(30_000 * 900);
  const usedBytes = journal.usedBytes;
  await journal.add([{ kind: "trim", upTo: journal.lastSequence }], "keep");
  expect(journal.usedBytes).toBeLessThan(MIB);
  await journal.add([row("later", 10 * MIB)], "keep");
  expect(statSync(join(directory, JOURNAL_FILE)).size).toBeLessThan(usedBytes + 2 * MIB);
}, 60_000);

const disk: SmallDisk | undefined = mountSmallDisk(4 * MIB);
describe.skipIf(!disk)("on a disk of 4 MB that it fills alone (skipped where none can be mounted)", () => {
  afterEach(() => disk?.unmount());

  test("trimming works when nothing else does, makes room, and everything that waited is written", async () => {
    const journal = await open({ directory: join(disk?.path ?? "", "journal") });
    const kept: Promise<void>[] = [];
    const isStuck = async (batch: Promise<unknown>) => {
      const progressed = batch.then(() => false);
      return await Promise.race([progressed, new Promise<true>((resolve) => setTimeout(resolve, 500, true))]);
    };
    do {
      kept.push(...Array.from({ length: 100 }, () => journal.add([row("none", 800)], "keep")));
    } while (!(await isStuck(Promise.all(kept))));
    expect(journal.failing).toBe(true);
    const rows = await journal.read(0, 100_000);
    expect(rows.length).toBeGreaterThan(2_000);
    await journal.add([{ kind: "trim", upTo: rows.at(-1)?.sequence ?? 0 }], "keep");
    await Promise.all(kept);
    await expect.poll(() => journal.failing).toBe(false);
    await journal.add([intent("next")], "refuse");
    expect(await journal.read(0, 100_000)).toHaveLength(kept.length - rows.length);
    expect(readdirSync(join(disk?.path ?? "", "journal"))).toContain("reserve-for-outcomes");
    opened = [];
    await journal.close();
  }, 60_000);
});
