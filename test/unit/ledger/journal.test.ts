import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  DEFAULT_REPLAY_LIMITS,
  JOURNAL_FILE,
  type Journal,
  type JournalOptions,
  openJournal,
} from "../../../src/ledger/journal.ts";
import { packOperations } from "../../../src/ledger/journal-lines.ts";
import { type JournalOperation, openJournalStore } from "../../../src/ledger/journal-store.ts";
import { createRandom } from "../../support/ledger-samples.ts";
import { spawnProgram } from "../../support/spawn-program.ts";

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
  const journal = await openJournal({ directory, retryDelayMs: { first: 1, max: 5 }, ...options });
  opened.push(journal);
  return journal;
}

async function close(journal: Journal): Promise<void> {
  opened = opened.filter((other) => other !== journal);
  await journal.close();
}

const intent = (attemptId: string): JournalOperation => ({ kind: "open", attemptId, json: `"${attemptId}"` });
const row = (attemptId: string, json = `"row of ${attemptId}"`): JournalOperation => ({
  ...{ kind: "row", table: "cost_record", json, priceId: undefined, attemptId },
});

test("intents, what they received and rows outlive the process that wrote them; an outcome ends its intent", async () => {
  const first = await open();
  expect(first.content).toMatchObject({ intents: [], rows: 0, lastSequence: 0 });
  await first.add([intent("a")], "refuse");
  await first.add([intent("b")], "refuse");
  await first.add([{ kind: "checkpoint", attemptId: "b", outputBytes: 70, deltas: 9 }], "drop");
  await first.add([row("a")], "keep");
  // Too late: the attempt has its outcome.
  await first.add([{ kind: "checkpoint", attemptId: "a", outputBytes: 1, deltas: 1 }], "drop");
  expect(first.lastSequence).toBe(1);
  await close(first);

  const second = await open();
  expect(second.content.intents).toEqual([{ json: '"b"', outputBytes: 70, deltas: 9 }]);
  expect(await second.read(0, 10)).toMatchObject([{ sequence: 1, json: '"row of a"' }]);
});

test("the rows that are to be shipped next are those of the file, from an earlier process, too", async () => {
  const untimed = (rows: Awaited<ReturnType<Journal["next"]>>) =>
    rows.map((row) => ({ ...row, writtenAtMs: 0 }));
  const first = await open();
  for (const id of ["a", "b", "c"]) await first.add([intent(id), row(id)], "keep");
  const written = untimed(await first.read(0, 10));
  expect(written.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  expect(untimed(await first.next(0, 10))).toEqual(written);
  expect(untimed(await first.next(1, 1))).toEqual(written.slice(1, 2));
  expect(await first.next(3, 10)).toEqual([]);
  await close(first);

  const second = await open();
  await second.add([row("d")], "keep");
  expect(untimed(await second.next(1, 10)).map(({ json }) => json)).toEqual([
    '"row of b"',
    '"row of c"',
    '"row of d"',
  ]);
  expect(untimed(await second.next(3, 10)).map(({ sequence }) => sequence)).toEqual([4]);
});

test("rows keep their order and their sequence, which no trim starts anew", async () => {
  const first = await open();
  await Promise.all(["a", "b", "c", "d"].map((id) => first.add([row(id)], "keep")));
  await first.add([{ kind: "trim", upTo: 2 }], "keep");
  expect((await first.read(0, 10)).map(({ sequence }) => sequence)).toEqual([3, 4]);
  expect((await first.read(3, 10)).map(({ json }) => json)).toEqual(['"row of d"']);
  await first.add([{ kind: "trim", upTo: 4 }], "keep");
  await close(first);

  const second = await open();
  expect(second.content).toMatchObject({ rows: 0, trimmedUpTo: 4, lastSequence: 4 });
  await second.add([row("e")], "keep");
  expect((await second.read(4, 10)).map(({ sequence }) => sequence)).toEqual([5]);
});

test("prices that nothing names any more are forgotten at the next start", async () => {
  const first = await open();
  const price = (priceId: string): JournalOperation => ({ kind: "price", priceId, json: `"${priceId}"` });
  const named = { kind: "open", attemptId: "a", json: '{"priceId":"of an intent"}' } as const;
  const billed = { ...row("b"), priceId: "of a row" } as JournalOperation;
  await first.add([price("of an intent"), price("of a row"), price("of nothing"), named, billed], "keep");
  await close(first);
  expect((await open()).content.prices).toEqual(['"of a row"', '"of an intent"']);
});

test("once closed, it does not open its file again for a late question", async () => {
  const journal = await open();
  await journal.close();
  await expect(journal.read(0, 1)).rejects.toThrow("the journal is closed");
  const next = await open();
  await next.add([intent("a")], "refuse");
});

test("a second process is kept out, even if it took no lock", async () => {
  const journal = await open();
  await journal.add([intent("a")], "refuse");
  await expect(open()).rejects.toThrow("locked");
});

test("a full disk refuses intents at once, keeps outcomes, and is recovered from without help", async () => {
  const errors: unknown[] = [];
  const journal = await open({ maxFileBytes: 1_000_000, onWriteError: (error) => errors.push(error) });
  await journal.add([intent("before")], "refuse");
  const big = "x".repeat(100_000);
  const kept = Array.from({ length: 12 }, (_, index) => journal.add([row(`row ${index}`, big)], "keep"));
  await expect.poll(() => journal.failing).toBe(true);
  await expect(journal.add([intent("refused")], "refuse")).rejects.toMatchObject({
    reason: "LEDGER_UNAVAILABLE",
  });
  const late = journal.add([row("before")], "keep");
  await delay(20);
  expect(journal.failing).toBe(true);
  expect(String(errors[0])).toContain("full");

  // The limit is the file's, so another opening may have more: as when somebody makes room.
  const before = journal.depth;
  expect(before).toBeGreaterThan(0);
  await close(journal);
  const roomy = await open();
  expect(roomy.content.intents).toEqual([{ json: '"before"', outputBytes: 0, deltas: 0 }]);
  await roomy.add([row("before")], "keep");
  void kept;
  void late;
});

test("what trims makes room for the outcomes that wait", async () => {
  const journal = await open({ maxFileBytes: 1_500_000 });
  const big = "x".repeat(100_000);
  for (let index = 0; index < 8; index++) await journal.add([row(`row ${index}`, big)], "keep");
  const waiting = Array.from({ length: 8 }, (_, index) => journal.add([row(`more ${index}`, big)], "keep"));
  await expect.poll(() => journal.failing).toBe(true);
  await journal.add([{ kind: "trim", upTo: 8 }], "keep");
  await Promise.all(waiting);
  await expect.poll(() => journal.failing).toBe(false);
  await expect(journal.add([intent("after")], "refuse")).resolves.toBeUndefined();
  expect(await journal.read(0, 100)).toHaveLength(8);
});

test("a torn tail of the log costs nothing that was written before it", async () => {
  const source = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
  const script = await startWriting(source);
  await expect.poll(() => script.acknowledged().length, { timeout: 10_000 }).toBeGreaterThan(100);
  await script.kill();
  const random = createRandom(11);
  const [file, log] = [JOURNAL_FILE, `${JOURNAL_FILE}-wal`].map((name) => readFileSync(join(source, name)));
  let fewest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 30; round++) {
    writeFileSync(join(directory, JOURNAL_FILE), file ?? "");
    writeFileSync(join(directory, `${JOURNAL_FILE}-wal`), log ?? "");
    const length = Math.floor(random() * (log?.length ?? 0));
    if (round % 2 === 0) truncateSync(join(directory, `${JOURNAL_FILE}-wal`), length);
    else {
      const garbled = Buffer.from(log ?? "");
      garbled.fill(round, length, length + 200);
      writeFileSync(join(directory, `${JOURNAL_FILE}-wal`), garbled);
    }
    const store = openJournalStore({
      file: join(directory, JOURNAL_FILE),
      maxBytes: 1e9,
      replayLimits: DEFAULT_REPLAY_LIMITS,
    });
    const sequences = store.read(0, 100_000).map(({ sequence }) => sequence);
    // A prefix of what was written, without gaps, and it takes new rows.
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    expect(store.commit(packOperations([row("next")])).lastSequence).toBe(sequences.length + 1);
    fewest = Math.min(fewest, sequences.length);
    store.close();
  }
  expect(fewest).toBeLessThan(100);
  rmSync(source, { recursive: true });
}, 30_000);

test("a file that is no journal is refused with its name, and left as it is", async () => {
  writeFileSync(join(directory, JOURNAL_FILE), "nothing that SQLite wrote".repeat(500));
  await expect(open()).rejects.toThrow(/journal\.sqlite is damaged .*move it aside/);
  expect(readFileSync(join(directory, JOURNAL_FILE), "utf8")).toContain("nothing that SQLite wrote");
});

async function startWriting(target: string) {
  const script = fileURLToPath(new URL("../../support/journal-process.ts", import.meta.url));
  const child = spawnProgram([script, target]);
  child.stderr.pipe(process.stderr, { end: false });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child.stdout, "data");
  const acknowledged = () => output.split("\n").filter((line) => line.length === 38);
  return {
    acknowledged,
    async kill() {
      const closed = once(child, "close");
      child.kill("SIGKILL");
      await closed;
      return acknowledged();
    },
  };
}

test("killed at 50 seeded moments, the process has lost nothing that it acknowledged", async () => {
  const random = createRandom(50);
  const settled = new Set<string>();
  const started = new Set<string>();
  for (let kill = 0; kill < 50; kill++) {
    const writing = await startWriting(directory);
    await delay(random() * 40);
    for (const line of await writing.kill()) (line.startsWith("s") ? settled : started).add(line.slice(2));

    const store = openJournalStore({
      file: join(directory, JOURNAL_FILE),
      maxBytes: 1e9,
      replayLimits: DEFAULT_REPLAY_LIMITS,
    });
    const rows = store
      .read(0, 1_000_000)
      .map(({ json }) => (JSON.parse(json) as { attempt_id: string }).attempt_id);
    const { intents } = store.content();
    const known = new Set(rows);
    expect(rows.length, `kill ${kill}`).toBe(known.size);
    expect(
      [...settled].filter((id) => !known.has(id)),
      `kill ${kill}`,
    ).toEqual([]);
    const isOpen = new Set(intents.map(({ json }) => (JSON.parse(json) as { attemptId: string }).attemptId));
    const lost = [...started].filter((id) => !known.has(id) && !isOpen.has(id));
    expect(lost, `kill ${kill}`).toEqual([]);
    expect(
      [...isOpen].filter((id) => known.has(id)),
      `kill ${kill}`,
    ).toEqual([]);
    store.close();
  }
  expect(settled.size).toBeGreaterThan(500);
}, 90_000);
