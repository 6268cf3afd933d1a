import { expect, test } from "vitest";
import type { SqlQuery, SqlRow } from "../../../src/ledger/ledger-database.ts";
import { WRITE_STATEMENT } from "../../../src/ledger/write-statement.ts";
import { createDatabaseLedger, type DatabaseLedgerOptions } from "../../support/database-ledger.ts";
import { sampleIntent, sampleOutcome, sampleRequest } from "../../support/ledger-samples.ts";

/** A database that answers each write of records only when told to. */
function setUp(options: DatabaseLedgerOptions = {}) {
  const statements: { values: readonly unknown[]; resolve: () => void; reject: (error: Error) => void }[] =
    [];
  const query: SqlQuery = (text, values = []) =>
    new Promise<readonly SqlRow[]>((resolve, reject) => {
      if (text !== WRITE_STATEMENT) resolve([{ kept: true }]);
      else statements.push({ values, resolve: () => resolve([]), reject });
    });
  const ledger = createDatabaseLedger({ query }, { retryDelayMs: { first: 1, max: 1 }, ...options });
  const nextStatement = async (index: number) => {
    for (;;) {
      const statement = statements[index];
      if (statement) return statement;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { ledger, nextStatement };
}

const UNAVAILABLE = { reason: "LEDGER_UNAVAILABLE" };

test("open refuses once as many attempts are open or unwritten as the ledger can keep", async () => {
  const { ledger, nextStatement } = setUp({ maxPending: 2 });
  const [first, second] = [sampleOutcome(), sampleOutcome()];
  await ledger.open(first.intent);
  await ledger.open(second.intent);
  expect(ledger.ready).toBe(false);
  await expect(ledger.open(sampleIntent())).rejects.toMatchObject(UNAVAILABLE);

  const settled = ledger.settle(first);
  await expect(ledger.open(sampleIntent())).rejects.toMatchObject(UNAVAILABLE);
  (await nextStatement(0)).resolve();
  await settled;
  expect(ledger.ready).toBe(true);
  await ledger.open(sampleIntent());
  expect(ledger.openAttempts).toBe(2);
});

test("while writes fail, open refuses, what was accepted waits, and success opens the ledger again", async () => {
  const { ledger, nextStatement } = setUp();
  const settled = ledger.settle(sampleOutcome());
  (await nextStatement(0)).reject(new Error("connection lost"));
  const retried = await nextStatement(1);
  expect(ledger.ready).toBe(false);
  await expect(ledger.open(sampleIntent())).rejects.toMatchObject(UNAVAILABLE);
  const later = ledger.settle(sampleOutcome());
  retried.resolve();
  await settled;
  (await nextStatement(2)).resolve();
  await later;
  expect(ledger.ready).toBe(true);
  expect(ledger.depth).toBe(0);
});

test("a request that spent nothing is refused when the ledger is full, one that spent money is kept", async () => {
  const { ledger, nextStatement } = setUp({ maxPending: 1 });
  const settled = ledger.settle(sampleOutcome());
  const kept = ledger.finish(sampleRequest({ attempts: 1 }));
  await expect(ledger.finish(sampleRequest({ attempts: 0 }))).rejects.toMatchObject(UNAVAILABLE);
  (await nextStatement(0)).resolve();
  await Promise.all([settled, kept]);
  const free = ledger.finish(sampleRequest({ attempts: 0 }));
  (await nextStatement(1)).resolve();
  await free;
});

test("the attempts and the row of a request that settle together share one write", async () => {
  const { ledger, nextStatement } = setUp();
  const done = Promise.all([
    ledger.settle(sampleOutcome()),
    ledger.settle(sampleOutcome()),
    ledger.finish(sampleRequest()),
  ]);
  const { values, resolve } = await nextStatement(0);
  expect(values.map((rows) => JSON.parse(String(rows)).length)).toEqual([2, 1, 1]);
  resolve();
  await done;
});

test("a price is sent until it is stored, and not again", async () => {
  const { ledger, nextStatement } = setUp();
  const pricesOf = (values: readonly unknown[]) => JSON.parse(String(values[2])).length;
  const first = ledger.settle(sampleOutcome());
  const failed = await nextStatement(0);
  failed.reject(new Error("connection lost"));
  const retried = await nextStatement(1);
  expect([pricesOf(failed.values), pricesOf(retried.values)]).toEqual([1, 1]);
  retried.resolve();
  await first;
  const second = ledger.settle(sampleOutcome());
  const next = await nextStatement(2);
  expect(pricesOf(next.values)).toBe(0);
  next.resolve();
  await second;
});

test("closing refuses new attempts and waits for what was accepted", async () => {
  const { ledger, nextStatement } = setUp();
  const settled = ledger.settle(sampleOutcome());
  let closed = false;
  const closing = ledger.close().then(() => {
    closed = true;
  });
  await expect(ledger.open(sampleIntent())).rejects.toMatchObject(UNAVAILABLE);
  const statement = await nextStatement(0);
  expect(closed).toBe(false);
  statement.resolve();
  await Promise.all([settled, closing]);
});
