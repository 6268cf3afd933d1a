import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../src/db/database.ts";
import { settleOrphan } from "../../src/gateway/settle-attempt.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import {
  createJournalLedger,
  type JournalLedger,
  type JournalLedgerOptions,
} from "../../src/ledger/journal-ledger.ts";
import type { DatabaseSource } from "../support/databases.ts";
import { expectedReport, flatten } from "../support/expected-costs.ts";
import {
  createRandom,
  randomTraffic,
  SAMPLE_PRICE,
  sampleIntent,
  sampleOutcome,
  sampleRequest,
} from "../support/ledger-samples.ts";
import { costQuery, WHOLE_YEAR } from "./ledger-suite.ts";

/** A database that can be away. */
function withOutages(database: Database) {
  let away = false;
  return {
    setAway(value: boolean): void {
      away = value;
    },
    sync: database.sync,
    query: ((text, values) =>
      away
        ? Promise.reject(new Error("connection refused"))
        : database.query(text, values)) satisfies Database["query"],
  };
}

/** What the journal must do on every database. */
export function describeJournal(kind: string, source: () => DatabaseSource): void {
  describe(`the journal before ${kind}`, () => {
    let directory: string;
    let database: Database;
    let ledgers: JournalLedger[] = [];
    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-"));
      database = await source().open();
    });
    afterEach(async () => {
      for (const ledger of ledgers) await ledger.close(100);
      ledgers = [];
      await database.close();
      rmSync(directory, { recursive: true, force: true });
    });

    /** The journal's own `close` ends the process's part of it as a crash would: at once, without the ledger. */
    async function start(changes: Partial<JournalLedgerOptions> = {}) {
      const journal = await openJournal({ directory });
      const ledger = await createJournalLedger({
        ...{ journal, database, settleOrphan, retryDelayMs: { first: 5, max: 20 } },
        ...changes,
      });
      ledgers.push(ledger);
      const reader = createCostReader(database, { beforeRead: () => ledger.caughtUp() });
      const crash = async () => {
        ledgers = ledgers.filter((other) => other !== ledger);
        await journal.close();
      };
      return { journal, ledger, reader, crash };
    }

    test("a report has everything that was acknowledged before it was asked for", async () => {
      const { ledger, reader } = await start();
      for (let count = 1n; count <= 20n; count++) {
        const outcome = sampleOutcome();
        await ledger.open(outcome.intent);
        await Promise.all([ledger.settle(outcome), ledger.finish(sampleRequest())]);
        const { totals } = await reader.query(costQuery());
        expect(totals).toMatchObject({ attempts: count, requests: count });
      }
      const { records } = await reader.listRecords({ filter: WHOLE_YEAR, pageSize: 5, pageToken: undefined });
      expect(records[0]?.priceId).toBe(SAMPLE_PRICE.priceId);
      await expect.poll(() => [ledger.depth, ledger.oldestAgeMs]).toEqual([0, 0]);
      expect(ledger).toMatchObject({ ready: true, openAttempts: 0 });
    });

    test("what was acknowledged but not shipped when the process died is shipped by the next one", async () => {
      const outages = withOutages(database);
      outages.setAway(true);
      const { ledger, crash } = await start({ database: outages });
      const outcome = sampleOutcome();
      await ledger.open(outcome.intent);
      await Promise.all([ledger.settle(outcome), ledger.finish(sampleRequest())]);
      await crash();

      const { reader } = await start();
      const { totals } = await reader.query(costQuery());
      expect(totals).toMatchObject({ attempts: 1n, requests: 1n, costPicoUsd: outcome.costPicoUsd });
      const prices = await database.query("SELECT price_id FROM price");
      expect(prices).toEqual([{ price_id: SAMPLE_PRICE.priceId }]);
    });

    test("a late outcome is durable like any other, comes after its charge, and counts once", async () => {
      const outages = withOutages(database);
      outages.setAway(true);
      const { ledger, crash } = await start({ database: outages });
      const early = sampleOutcome({}, { usageSource: "estimated" });
      const late = { ...early, usageSource: "reported" as const, costPicoUsd: 7n };
      await ledger.open(early.intent);
      await ledger.settle(early);
      await ledger.correct(late);
      await crash();

      const { ledger: second, reader } = await start();
      await second.correct(late);
      const { totals } = await reader.query(costQuery());
      expect(totals).toMatchObject({ attempts: 1n, costPicoUsd: 7n });
      expect(totals.coverage).toMatchObject({ reportedAttempts: 1n, estimatedAttempts: 0n });
      const { records } = await reader.listRecords({ filter: WHOLE_YEAR, pageSize: 9, pageToken: undefined });
      expect(records.map(({ kind }) => kind).toSorted()).toEqual(["adjustment", "charge", "reversal"]);
    });

    test("attempts without an outcome become unknown ones, once, with what had arrived and the price of then", async () => {
      const { ledger, crash } = await start();
      const [first, second] = [1, 2].map((ordinal) => sampleIntent({ ordinal, streamed: ordinal === 2 }));
      if (!first || !second) throw new Error("two intents");
      await ledger.open(first);
      await ledger.open(second);
      await ledger.open(sampleIntent({ requestId: "other", price: undefined, method: "Embed" }));
      ledger.checkpoint(second.attemptId, { outputBytes: 400, deltas: 30 });
      await ledger.flush();
      await crash();

      const recovered: unknown[] = [];
      const next = await start({ onRecovered: (what) => recovered.push(what) });
      expect(recovered).toMatchObject([{ orphans: 3, rows: 0 }]);
      const { totals } = await next.reader.query(costQuery());
      expect(totals).toMatchObject({ attempts: 3n, requests: 2n, tokensIn: 30n, tokensOut: 100n });
      expect(totals.coverage).toMatchObject({ unknownAttempts: 3n, unknownTokens: 130n });
      // Two estimated inputs of ten tokens and one output of a hundred; the third has no price.
      expect(totals.costPicoUsd).toBe(20n * 250_000n + 100n * 2_000_000n);
      const { records } = await next.reader.listRecords({
        filter: WHOLE_YEAR,
        pageSize: 9,
        pageToken: undefined,
      });
      for (const { flags, billingState, outcome, errorReason } of records) {
        expect({ flags, billingState, outcome, errorReason }).toEqual({
          ...{ flags: ["ORPHANED"], billingState: "unknown", outcome: "failed", errorReason: "INTERNAL" },
        });
      }
      const requests = await database.query(
        "SELECT request_id, method, status, error_reason, attempts FROM request_log ORDER BY attempts",
      );
      const lost = { status: "error", error_reason: "INTERNAL" };
      expect(requests).toEqual([
        { request_id: "other", method: "Embed", attempts: 1, ...lost },
        { request_id: "request-1", method: "StreamComplete", attempts: 2, ...lost },
      ]);

      await next.crash();
      const again = await start();
      expect((await again.reader.query(costQuery())).totals).toMatchObject({ attempts: 3n, requests: 2n });
    });

    test("replaying a whole journal twice, shuffled, changes nothing", async () => {
      const outages = withOutages(database);
      outages.setAway(true);
      const { ledger, journal } = await start({ database: outages });
      const traffic = randomTraffic({
        ...{ seed: 35, requests: 300, start: new Date("2026-10-31T20:00:00Z"), spanMs: 5 * 3_600_000 },
      });
      await Promise.all([
        ...traffic.outcomes.map(ledger.settle),
        ...traffic.requests.map((request) => ledger.finish(request)),
      ]);
      const rows = await journal.read(0, 100_000);
      expect(rows).toHaveLength(traffic.outcomes.length + traffic.requests.length);
      outages.setAway(false);
      await expect.poll(() => ledger.depth, { timeout: 10_000 }).toBe(0);

      const reader = createCostReader(database);
      const query = costQuery({ groupBy: ["hour", "provider", "model"] });
      const expected = expectedReport(traffic, query);
      expect(flatten(await reader.query(query))).toEqual(expected);
      const random = createRandom(35);
      const shuffled = [...rows, ...rows].toSorted(() => random() - 0.5);
      const operations = shuffled.map(
        ({ table, json, priceId }) => ({ kind: "row", table, json, priceId, attemptId: undefined }) as const,
      );
      await Promise.all(operations.map((operation) => journal.add([operation], "keep")));
      // Any new row makes the shipper look.
      await ledger.settle(traffic.outcomes[0] ?? sampleOutcome());
      await expect.poll(() => ledger.depth, { timeout: 10_000 }).toBe(0);
      expect(flatten(await reader.query(query))).toEqual(expected);
    });

    test("while the database is away it serves on up to the bound, refuses then, and drains by itself", async () => {
      const outages = withOutages(database);
      const { ledger, reader, journal } = await start({ database: outages, maxUnshipped: 40 });
      outages.setAway(true);
      const settled: Promise<void>[] = [];
      for (let index = 0; index < 40; index++) {
        const outcome = sampleOutcome();
        await ledger.open(outcome.intent);
        settled.push(ledger.settle(outcome));
        await settled.at(-1);
      }
      expect(ledger.ready).toBe(false);
      await expect(ledger.open(sampleIntent())).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
      await expect(ledger.finish(sampleRequest({ attempts: 0 }))).rejects.toThrow("cannot take");
      await expect.poll(() => ledger.oldestAgeMs).toBeGreaterThan(0);
      expect(ledger.depth).toBe(40);
      outages.setAway(false);
      await expect.poll(() => ledger.ready, { timeout: 5_000 }).toBe(true);
      await expect.poll(() => ledger.depth, { timeout: 5_000 }).toBe(0);
      expect((await reader.query(costQuery())).totals.attempts).toBe(40n);
      if (!database.sync) await expect.poll(() => journal.read(0, 100)).toEqual([]);
    });

    test("before its schema is known, and when the journal holds as many bytes as it may, it refuses and says why", async () => {
      let isKnown = false;
      const outages = withOutages(database);
      const { ledger } = await start({
        ...{ database: outages, maxJournalBytes: 1_000_000, isSchemaKnown: () => isKnown },
      });
      await expect(ledger.open(sampleIntent())).rejects.toThrow("the database was not reached yet");
      expect(ledger.ready).toBe(false);
      isKnown = true;
      outages.setAway(true);
      expect(ledger.ready).toBe(true);
      while (ledger.ready)
        await Promise.all(Array.from({ length: 50 }, () => ledger.settle(sampleOutcome())));
      expect(ledger.journalBytes).toBeGreaterThanOrEqual(1_000_000);
      await expect(ledger.open(sampleIntent())).rejects.toMatchObject({
        reason: "LEDGER_UNAVAILABLE",
        message: "the ledger cannot take a record now: the journal is as large as it may be",
      });
      outages.setAway(false);
      await expect.poll(() => ledger.ready, { timeout: 15_000 }).toBe(true);
    }, 30_000);

    test("a row that the database refuses for ever is reported and holds up no other", async () => {
      const rejected: string[] = [];
      const { ledger, reader } = await start({ onRejected: (_, row) => rejected.push(row.json) });
      const tooMuch = sampleOutcome({}, { costPicoUsd: 10n ** 24n });
      const fine = Array.from({ length: 20 }, () => sampleOutcome());
      await Promise.all([...fine.slice(0, 7), tooMuch, ...fine.slice(7)].map(ledger.settle));
      expect((await reader.query(costQuery())).totals.attempts).toBe(20n);
      expect(rejected).toEqual([expect.stringContaining(tooMuch.intent.attemptId)]);
      await expect.poll(() => ledger.depth).toBe(0);
      expect(ledger.ready).toBe(true);
    });

    test("closing ships what is there; what the database does not take is left for the next start", async () => {
      const outages = withOutages(database);
      const { ledger } = await start({ database: outages });
      await ledger.settle(sampleOutcome());
      await ledger.close();
      ledgers = [];
      const before = createCostReader(database);
      expect((await before.query(costQuery())).totals.attempts).toBe(1n);

      const second = await start({ database: outages });
      outages.setAway(true);
      await second.ledger.settle(sampleOutcome());
      const startedAtMs = performance.now();
      await second.ledger.close(200);
      expect(performance.now() - startedAtMs).toBeLessThan(3_000);
      await expect(second.ledger.open(sampleIntent())).rejects.toMatchObject({
        reason: "LEDGER_UNAVAILABLE",
      });
      ledgers = [];
      const third = await start();
      expect((await third.reader.query(costQuery())).totals.attempts).toBe(2n);
    });
  });
}
