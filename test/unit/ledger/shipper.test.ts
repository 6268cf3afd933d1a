import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Journal, openJournal } from "../../../src/ledger/journal.ts";
import { createShipper } from "../../../src/ledger/shipper.ts";

let directory: string;
let journal: Journal;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
  journal = await openJournal({ directory });
});
afterEach(async () => {
  await journal.close();
  rmSync(directory, { recursive: true, force: true });
});

const add = (json: string) =>
  journal.add(
    [{ kind: "row", table: "request_log", json, priceId: undefined, attemptId: undefined }],
    "keep",
  );

test("rows are written in order and in batches, and forgotten once the database has committed them", async () => {
  const written: unknown[] = [];
  const query = async (_: string, values: readonly unknown[] = []) => {
    written.push(values[1]);
    return [];
  };
  for (let index = 1; index <= 5; index++) await add(String(index));
  const shipper = createShipper(journal, { query, sync: undefined }, { maxBatchRows: 2 });
  expect(shipper.unshipped).toBe(5);
  expect(await shipper.shipped(5_000)).toBe(true);
  expect(written).toEqual(["[1,2]", "[3,4]", "[5]"]);
  await expect.poll(() => journal.read(0, 10)).toEqual([]);
  expect([shipper.unshipped, shipper.oldestAgeMs]).toEqual([0, 0]);
});

test("where a commit is not on the disk yet, rows are kept until a sync that began after it has succeeded", async () => {
  const syncs: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  const errors: unknown[] = [];
  const sync = () => new Promise<void>((resolve, reject) => syncs.push({ resolve, reject }));
  const shipper = createShipper(
    journal,
    { query: async () => [], sync },
    { syncIntervalMs: 5, onSyncError: (error) => errors.push(error) },
  );
  const ship = async (json: string) => {
    await add(json);
    shipper.wake();
    expect(await shipper.shipped(5_000)).toBe(true);
  };
  const kept = async () => (await journal.read(0, 10)).map(({ json }) => json);
  await ship("1");
  await expect.poll(() => syncs.length).toBe(1);
  await ship("2");
  expect(await kept()).toEqual(["1", "2"]);
  syncs[0]?.reject(new Error("fsync failed"));
  await expect.poll(() => syncs.length).toBe(2);
  expect(errors).toHaveLength(1);
  expect(await kept()).toEqual(["1", "2"]);
  await ship("3");
  syncs[1]?.resolve();
  // The third was written while the sync was running, so the sync says nothing of it.
  await expect.poll(kept).toEqual(["3"]);
  const stopped = shipper.stop(1_000);
  await expect.poll(() => syncs.length).toBe(3);
  syncs[2]?.resolve();
  // Should the third have been running already, nothing is left to sync.
  await stopped;
  expect(await kept()).toEqual([]);
});

test("stopping while the database fails gives up in time, and the journal keeps the rows", async () => {
  await add("1");
  const query = () => Promise.reject(new Error("connection refused"));
  const shipper = createShipper(journal, { query, sync: undefined }, { retryDelayMs: { first: 5, max: 5 } });
  shipper.wake();
  await expect.poll(() => shipper.failing).toBe(true);
  expect(shipper.oldestAgeMs).toBeGreaterThanOrEqual(0);
  await shipper.stop(50);
  expect(shipper.unshipped).toBe(1);
  expect((await journal.read(0, 10)).map(({ json }) => json)).toEqual(["1"]);
});
