import { expect, test } from "vitest";
import { createJournalQueue } from "../../../src/ledger/journal-queue.ts";
import type { JournalOperation } from "../../../src/ledger/journal-store.ts";

/** A disk that answers each commit only when told to. */
function setUp() {
  const commits: {
    readonly operations: readonly JournalOperation[];
    readonly resolve: (sequence: number) => void;
    readonly reject: (error: Error) => void;
  }[] = [];
  const errors: unknown[] = [];
  const disk = { isFull: false, probes: 0 };
  const queue = createJournalQueue({
    async probe() {
      disk.probes++;
      if (disk.isFull) throw new Error("no space left");
    },
    commit: (operations) =>
      new Promise((resolve, reject) =>
        commits.push({
          operations,
          resolve: (lastSequence) => resolve({ lastSequence, usedBytes: 4_096 * commits.length }),
          reject,
        }),
      ),
    held: { lastSequence: 7, usedBytes: 0 },
    retryDelayMs: { first: 1, max: 2 },
    onWriteError: (error) => errors.push(error),
  });
  /** The next commit that the queue asks for. */
  const next = async (index: number) => {
    await expect.poll(() => commits.length).toBe(index + 1);
    const commit = commits[index];
    if (!commit) throw new Error("no commit");
    return commit;
  };
  return { queue, commits, errors, next, disk };
}

const open = (attemptId: string): JournalOperation => ({ kind: "open", attemptId, json: "{}" });
const row = (json: string): JournalOperation => ({
  ...{ kind: "row", table: "cost_record", json, priceId: undefined, attemptId: undefined },
});
const REFUSED = { reason: "LEDGER_UNAVAILABLE" };

test("what arrives while a batch is written is the next batch, and nothing is durable before its commit is", async () => {
  const { queue, commits, next } = setUp();
  const durable: string[] = [];
  const add = (name: string) => queue.add([row(name)], "keep").then(() => durable.push(name));
  void add("a");
  void add("b");
  const first = await next(0);
  void add("c");
  void add("d");
  expect([queue.depth, durable, queue.lastSequence]).toEqual([4, [], 7]);
  first.resolve(9);
  const second = await next(1);
  expect(second.operations).toEqual([row("c"), row("d")]);
  expect([durable, queue.lastSequence]).toEqual([["a", "b"], 9]);
  second.resolve(11);
  await queue.flush();
  expect([queue.depth, queue.oldestAgeMs, commits.length, queue.usedBytes]).toEqual([0, 0, 2, 8_192]);
});

test("when a write fails, intents are refused and taken back, rows are kept in order, checkpoints are dropped", async () => {
  const { queue, errors, next } = setUp();
  const refused = queue.add([open("a")], "refuse");
  const kept = queue.add([row("1")], "keep");
  const dropped = queue.add([{ kind: "checkpoint", attemptId: "z", outputBytes: 1, deltas: 1 }], "drop");
  const first = await next(0);
  const waiting = queue.add([open("b")], "refuse");
  const later = queue.add([row("2")], "keep");
  first.reject(new Error("fsync failed"));
  await expect(refused).rejects.toMatchObject(REFUSED);
  await expect(waiting).rejects.toMatchObject(REFUSED);
  await dropped;
  expect(queue.failing).toBe(true);
  expect(errors).toHaveLength(1);
  await expect(queue.add([open("c")], "refuse")).rejects.toMatchObject(REFUSED);

  const second = await next(1);
  // The intent that waited was never written, so there is nothing of it to take back.
  expect(second.operations).toEqual([{ kind: "discard", attemptId: "a" }, row("1"), row("2")]);
  second.resolve(9);
  await Promise.all([kept, later]);
  await expect.poll(() => queue.failing).toBe(false);
  const accepted = queue.add([open("d")], "refuse");
  (await next(2)).resolve(0);
  await accepted;
  expect(queue.lastSequence).toBe(9);
});

test("it finds out by itself that the disk works again, with nothing to write", async () => {
  const { queue, commits, next, disk } = setUp();
  disk.isFull = true;
  const dropped = queue.add([{ kind: "checkpoint", attemptId: "a", outputBytes: 1, deltas: 1 }], "drop");
  (await next(0)).reject(new Error("no space left"));
  await dropped;
  await expect.poll(() => disk.probes).toBeGreaterThan(2);
  expect(queue.failing).toBe(true);
  disk.isFull = false;
  await expect.poll(() => queue.failing).toBe(false);
  expect(commits).toHaveLength(1);
});

test("while there is no room for more, outcomes are written as long as they can be, and intents refused", async () => {
  const { queue, next, disk } = setUp();
  disk.isFull = true;
  const refused = queue.add([open("a")], "refuse");
  (await next(0)).reject(new Error("no space left"));
  await expect(refused).rejects.toMatchObject(REFUSED);
  (await next(1)).resolve(0);
  const kept = queue.add([row("1")], "keep");
  const commit = await next(2);
  expect(commit.operations).toEqual([row("1")]);
  commit.resolve(8);
  await kept;
  expect([queue.failing, queue.depth, queue.lastSequence]).toEqual([true, 0, 8]);
  await expect(queue.add([open("b")], "refuse")).rejects.toMatchObject(REFUSED);
  disk.isFull = false;
  await expect.poll(() => queue.failing).toBe(false);
});

test("while the disk is full a trim is tried alone and first, whatever failed before it", async () => {
  const { queue, next } = setUp();
  const waiting = queue.add([row("1")], "keep");
  const first = await next(0);
  const trim = queue.add([{ kind: "trim", upTo: 1 }], "keep");
  first.reject(new Error("no space left"));
  const second = await next(1);
  expect(second.operations).toEqual([{ kind: "trim", upTo: 1 }]);
  second.resolve(0);
  await trim;
  (await next(2)).resolve(8);
  await waiting;
});

test("a trim goes before the rows that it makes room for", async () => {
  const { queue, next } = setUp();
  const first = queue.add([row("1")], "keep");
  const commit = await next(0);
  const second = queue.add([row("2")], "keep");
  const trim = queue.add([{ kind: "trim", upTo: 1 }], "keep");
  commit.resolve(8);
  const last = await next(1);
  expect(last.operations).toEqual([{ kind: "trim", upTo: 1 }, row("2")]);
  last.resolve(9);
  await Promise.all([first, second, trim]);
});
