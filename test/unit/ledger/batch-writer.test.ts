import { expect, test } from "vitest";
import {
  type BatchWriterOptions,
  createBatchWriter,
  type WriteFailure,
} from "../../../src/ledger/batch-writer.ts";

const ENTRY_ERROR = new Error("an entry is at fault");

function setUp(
  write: (entries: readonly number[]) => Promise<void>,
  changes: Partial<BatchWriterOptions<number>> = {},
) {
  const failures: WriteFailure[] = [];
  const rejected: number[] = [];
  const writer = createBatchWriter<number>({
    write,
    isEntryError: (error) => error === ENTRY_ERROR,
    maxBatchRows: 4,
    retryDelayMs: { first: 1, max: 4 },
    onBatch: () => {},
    onWriteError: (_, failure) => failures.push(failure),
    onRejected: (_, entry) => rejected.push(entry),
    ...changes,
  });
  return { writer, failures, rejected };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test("what arrives while a batch is written becomes the next batch, in order and bounded", async () => {
  const batches: number[][] = [];
  const release: (() => void)[] = [];
  const { writer } = setUp((entries) => {
    batches.push([...entries]);
    return new Promise((resolve) => release.push(resolve));
  });
  const first = [writer.add(1), writer.add(2)];
  await nextTurn();
  expect(batches).toEqual([[1, 2]]);
  for (const entry of [3, 4, 5, 6, 7]) void writer.add(entry);
  expect(writer.depth).toBe(7);
  expect(writer.oldestAgeMs).toBeGreaterThan(0);
  release[0]?.();
  await Promise.all(first);
  await nextTurn();
  expect(batches).toEqual([
    [1, 2],
    [3, 4, 5, 6],
  ]);
  release[1]?.();
  await nextTurn();
  expect(batches.at(-1)).toEqual([7]);
  release[2]?.();
  await writer.flush();
  expect([writer.depth, writer.oldestAgeMs]).toEqual([0, 0]);
});

test("entries that are added together are over when the last is, also if one can never be stored", async () => {
  const { promise: last, resolve: release } = Promise.withResolvers<void>();
  const { writer, rejected } = setUp(async (entries) => {
    if (entries.includes(3)) throw ENTRY_ERROR;
    if (entries.includes(6)) await last;
  });
  await writer.addAll([]);
  let over = false;
  const added = writer.addAll([1, 2, 3, 4, 5, 6]).then(() => {
    over = true;
  });
  expect(writer.depth).toBe(6);
  await nextTurn();
  expect([over, rejected]).toEqual([false, [3]]);
  release();
  await added;
  expect(writer.depth).toBe(0);
});

test("an entry is not durable before its batch is", async () => {
  let release = () => {};
  const { writer } = setUp(
    () =>
      new Promise((resolve) => {
        release = resolve;
      }),
  );
  let durable = false;
  const added = writer.add(1).then(() => {
    durable = true;
  });
  await nextTurn();
  await nextTurn();
  expect(durable).toBe(false);
  release();
  await added;
  expect(durable).toBe(true);
});

test("a failed batch is kept and tried again until it is stored, with growing pauses", async () => {
  let failuresLeft = 5;
  const stored: number[] = [];
  const { writer, failures } = setUp(async (entries) => {
    if (failuresLeft-- > 0) throw new Error("connection lost");
    stored.push(...entries);
  });
  const added = [1, 2, 3, 4, 5, 6].map((entry) => writer.add(entry));
  while (failures.length === 0) await nextTurn();
  expect(writer.failing).toBe(true);
  expect(writer.depth).toBe(6);
  await Promise.all(added);
  expect(stored).toEqual([1, 2, 3, 4, 5, 6]);
  expect(writer.failing).toBe(false);
  expect(failures.map((failure) => failure.consecutiveFailures)).toEqual([1, 2, 3, 4, 5]);
  for (const [index, { retryInMs }] of failures.entries()) {
    const full = Math.min(4, 2 ** index);
    expect(retryInMs).toBeGreaterThanOrEqual(full / 2);
    expect(retryInMs).toBeLessThanOrEqual(full);
  }
});

test("entries at fault are found, rejected and reported, and the others of their batch are stored in order", async () => {
  const stored: number[] = [];
  const { writer, rejected } = setUp(
    async (entries) => {
      if (entries.some((entry) => entry % 10 === 0)) throw ENTRY_ERROR;
      stored.push(...entries);
    },
    { maxBatchRows: 100 },
  );
  const entries = Array.from({ length: 25 }, (_, index) => index + 1);
  const results = await Promise.allSettled(entries.map((entry) => writer.add(entry)));
  expect(rejected).toEqual([10, 20]);
  expect(stored).toEqual(entries.filter((entry) => entry % 10 !== 0));
  expect(results.map(({ status }) => status === "rejected")).toEqual(
    entries.map((entry) => entry % 10 === 0),
  );
  expect(writer.failing).toBe(false);
  await expect(writer.flush()).resolves.toBeUndefined();
});

test("the last entry of a batch being at fault does not leave the writer failing", async () => {
  const { writer } = setUp(async () => {
    throw ENTRY_ERROR;
  });
  await expect(writer.add(1)).rejects.toBe(ENTRY_ERROR);
  expect(writer.failing).toBe(false);
});
