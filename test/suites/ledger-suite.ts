import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CostDimension, CostFilter, CostQuery, CostReader } from "../../src/core/ledger.ts";
import type { Database } from "../../src/db/database.ts";
import { sumAmounts, toAmounts } from "../../src/ledger/amounts.ts";
import { buildCostStatement } from "../../src/ledger/cost-query-sql.ts";
import { createCostReader, MAX_REPORT_ROWS } from "../../src/ledger/cost-reader.ts";
import { divideReport } from "../../src/ledger/report-segments.ts";
import { createDatabaseLedger } from "../support/database-ledger.ts";
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
import { findRollupDifferences } from "../support/rollup-differences.ts";

export const WHOLE_YEAR: CostFilter = {
  start: new Date("2026-01-01T00:00:00Z"),
  end: new Date("2027-01-01T00:00:00Z"),
  apiKeyIds: [],
  providers: [],
  models: [],
  tags: {},
  endUsers: [],
  asOf: undefined,
};

export function costQuery(changes: Partial<CostQuery> = {}): CostQuery {
  return { ...WHOLE_YEAR, groupBy: [], tagKey: undefined, ...changes };
}

/** What every database under the ledger must pass. */
export function describeLedger(kind: string, source: () => DatabaseSource): void {
  const withDatabase = async (
    work: (database: Database, reader: CostReader) => Promise<void>,
  ): Promise<void> => {
    const database = await source().open();
    try {
      await work(database, createCostReader(database));
    } finally {
      await database.close();
    }
  };

  describe(`the ledger on ${kind}`, () => {
    test("what was settled is in the next report and the next list, with every column", () =>
      withDatabase(async (database, reader) => {
        const ledger = createDatabaseLedger(database);
        const outcome = sampleOutcome(
          { occurredAt: new Date("2026-11-20T10:59:59.999Z") },
          { flags: ["NEGATIVE"] },
        );
        await ledger.open(outcome.intent);
        await Promise.all([ledger.settle(outcome), ledger.finish(sampleRequest())]);

        const report = await reader.query(costQuery({ groupBy: ["api_key", "hour", "tag"], tagKey: "team" }));
        expect(report.rows.map((row) => row.key)).toEqual([
          ["k_aaaaaaaaaaaa", "2026-11-20T10:00:00.000Z", "search"],
        ]);
        expect(report.totals).toMatchObject({ requests: 1n, attempts: 1n, costPicoUsd: outcome.costPicoUsd });

        const { records } = await reader.listRecords({
          filter: WHOLE_YEAR,
          pageSize: 0,
          pageToken: undefined,
        });
        const { attemptId, requestId, apiKeyId, provider, model, tags, endUser, occurredAt } = outcome.intent;
        expect(records).toEqual([
          {
            ...{ attemptId, requestId, apiKeyId, provider, model, tags, endUser, occurredAt },
            ...{ kind: "charge", revision: 0, adjustmentId: undefined },
            ...{ ordinal: 1, outcome: "succeeded", errorReason: undefined, streamed: false },
            ...{
              usage: outcome.usage,
              usageSource: "reported",
              billingState: "settled",
              flags: ["NEGATIVE"],
            },
            ...{
              costPicoUsd: outcome.costPicoUsd,
              unitPrices: outcome.unitPrices,
              priceId: SAMPLE_PRICE.priceId,
            },
            ...{ latencyMs: 812.5, recordedAt: expect.any(Date) },
          },
        ]);
        const [price] = await database.query("SELECT price_id, tiers::text, valid_to FROM price");
        expect(price).toMatchObject({ price_id: "sample-price", valid_to: null });
        expect(JSON.parse(String(price?.tiers))).toMatchObject([{ above_tokens_in: 200_000 }]);
      }));

    test("what a provider says of the cost stands beside it, and is no part of any sum", () =>
      withDatabase(async (database, reader) => {
        const ledger = createDatabaseLedger(database);
        const stated = sampleOutcome({}, { providerCostPicoUsd: 1_234_570_000n });
        const unstated = sampleOutcome();
        await Promise.all([ledger.settle(stated), ledger.settle(unstated)]);
        const { records } = await reader.listRecords({
          filter: costQuery(),
          pageSize: 10,
          pageToken: undefined,
        });
        expect(
          Object.fromEntries(
            records.map(({ attemptId, providerCostPicoUsd }) => [attemptId, providerCostPicoUsd]),
          ),
        ).toEqual({ [stated.intent.attemptId]: 1_234_570_000n, [unstated.intent.attemptId]: undefined });
        const { totals } = await reader.query(costQuery());
        expect(totals.costPicoUsd).toBe(2n * (stated.costPicoUsd ?? 0n));
      }));

    test("an attempt that is settled twice, also by another process, counts once", () =>
      withDatabase(async (database, reader) => {
        const outcome = sampleOutcome();
        const [first, second] = [createDatabaseLedger(database), createDatabaseLedger(database)];
        await Promise.all([first.settle(outcome), first.settle(outcome), second.settle(outcome)]);
        await second.settle({ ...outcome, costPicoUsd: 999n });
        const { totals } = await reader.query(costQuery());
        expect(totals).toMatchObject({ attempts: 1n, costPicoUsd: outcome.costPicoUsd });
      }));

    test("reports by anything, over any interval, equal the sums of the records to the last picodollar", () =>
      withDatabase(async (database, reader) => {
        const traffic = randomTraffic({
          seed: 42,
          requests: 400,
          start: new Date("2026-10-31T20:00:00Z"),
          spanMs: 9 * 3_600_000,
        });
        const ledger = createDatabaseLedger(database, { maxBatchRows: 37 });
        const accepted = [
          ...traffic.outcomes.map(ledger.settle),
          ...traffic.requests.map((request) => ledger.finish(request)),
        ];
        await Promise.all([...accepted, ...traffic.outcomes.slice(0, 50).map(ledger.settle)]);

        expect(await findRollupDifferences(database.query)).toEqual([]);
        for (const query of randomQueries(60)) {
          const report = await reader.query(query);
          expect(flatten(report), JSON.stringify(query)).toEqual(expectedReport(traffic, query));
          // The same instant again takes off what was recorded since.
          const again = await reader.query({ ...query, asOf: report.asOf });
          expect(flatten(again), JSON.stringify(query)).toEqual(flatten(report));
        }
        const empty = { apiKeyIds: ["nobody"] };
        expect((await reader.query(costQuery(empty))).rows).toEqual([]);
        expect((await reader.query(costQuery(empty))).totals.costPicoUsd).toBe(0n);
      }));

    test("a report of a past instant leaves out what was recorded later", () =>
      withDatabase(async (database, reader) => {
        const ledger = createDatabaseLedger(database);
        const wholeHours = costQuery({ groupBy: ["provider"] });
        await ledger.settle(sampleOutcome());
        const before = await reader.query(wholeHours);
        await Promise.all([ledger.settle(sampleOutcome()), ledger.finish(sampleRequest())]);
        expect((await reader.query(wholeHours)).totals.attempts).toBe(2n);
        expect(flatten(await reader.query({ ...wholeHours, asOf: before.asOf }))).toEqual(flatten(before));

        // A first report takes the sums less what is too new: what is recorded while it starts.
        const bounds = { asOf: before.asOf, limit: 10 };
        const { text, values } = buildCostStatement(
          wholeHours,
          divideReport(wholeHours, before.asOf),
          bounds,
        );
        expect(text).toContain("cost_rollup_daily_all_keys");
        const rows = (await database.query(text, values)).map((row) => ({
          key: [String(row.key_0)],
          ...toAmounts(row),
        }));
        expect(flatten({ rows, totals: sumAmounts(rows) })).toEqual(flatten(before));
      }));

    test("strings that mean something to SQL are nothing but strings", () =>
      withDatabase(async (database, reader) => {
        const ledger = createDatabaseLedger(database);
        const nasty = [
          "' OR 1=1 --",
          "%",
          "_",
          'a"b\\,{NULL}',
          "NULL",
          "$1",
          "é💸",
          "?",
          "'; DROP TABLE price; --",
        ];
        await Promise.all(
          nasty.map((text) =>
            ledger.settle(
              sampleOutcome({
                apiKeyId: text,
                provider: text,
                model: text,
                endUser: text,
                tags: { [text]: text },
              }),
            ),
          ),
        );
        for (const text of nasty) {
          const filters: Partial<CostQuery>[] = [
            { apiKeyIds: [text] },
            { providers: [text] },
            { models: [text] },
            { endUsers: [text] },
            { tags: { [text]: text } },
            { apiKeyIds: [text], groupBy: ["tag"], tagKey: text },
          ];
          for (const filter of filters) {
            expect((await reader.query(costQuery(filter))).totals.attempts, JSON.stringify(filter)).toBe(1n);
          }
        }
        expect((await reader.query(costQuery({ apiKeyIds: nasty }))).totals.attempts).toBe(
          BigInt(nasty.length),
        );
      }));

    test("NUL characters, lone surrogates and very long names do not keep a record out", () =>
      withDatabase(async (database, reader) => {
        const ledger = createDatabaseLedger(database);
        const bad = { endUser: "a\0b\ud800", tags: { "k\0": "v\0\udc00" }, model: "m".repeat(9_000) };
        await Promise.all([ledger.settle(sampleOutcome(bad)), ledger.finish(sampleRequest(bad))]);
        const { records } = await reader.listRecords({
          filter: WHOLE_YEAR,
          pageSize: 10,
          pageToken: undefined,
        });
        expect(records).toMatchObject([
          { endUser: "ab\ufffd", tags: { k: "v\ufffd" }, model: "m".repeat(256) },
        ]);
      }));

    test("a row that can never be stored is reported and holds up none of its batch", () =>
      withDatabase(async (database, reader) => {
        const rejected: string[] = [];
        const ledger = createDatabaseLedger(database, { onRejected: (_, row) => rejected.push(row.json) });
        const tooMuch = sampleOutcome({}, { costPicoUsd: 10n ** 24n });
        const fine = Array.from({ length: 20 }, () => sampleOutcome());
        const settled = await Promise.allSettled(
          [...fine.slice(0, 7), tooMuch, ...fine.slice(7)].map(ledger.settle),
        );
        expect(settled.filter(({ status }) => status === "rejected")).toHaveLength(1);
        expect(settled[7]?.status).toBe("rejected");
        expect(rejected).toEqual([expect.stringContaining(tooMuch.intent.attemptId)]);
        expect((await reader.query(costQuery())).totals.attempts).toBe(20n);
        expect(ledger.ready).toBe(true);
      }));

    test("records are append-only", () =>
      withDatabase(async (database) => {
        await createDatabaseLedger(database).settle(sampleOutcome());
        const changes = [
          "UPDATE cost_record SET cost_usd = 0",
          "DELETE FROM cost_record",
          "TRUNCATE cost_record",
        ];
        for (const change of changes) await expect(database.query(change)).rejects.toThrow("append-only");
      }));

    test("the tables are what the entities say", () =>
      withDatabase(async (database) => {
        const difference = await database.orm.schema.getUpdateSchemaSQL({ wrap: false });
        const ledgerStatements = difference
          .split(";\n")
          .filter(
            (statement) =>
              /price|cost_|request_log/.test(statement) && !/drop (trigger|function)/.test(statement),
          );
        expect(ledgerStatements).toEqual([]);
      }));

    test("what a report cannot answer is refused with the field at fault", () =>
      withDatabase(async (_, reader) => {
        const refused: [Partial<CostQuery>, string][] = [
          [{ end: WHOLE_YEAR.start }, "end"],
          [{ end: new Date("2046-01-01T00:00:00Z") }, "end"],
          [{ start: new Date(Number.NaN) }, "start"],
          [{ end: new Date(8.64e15) }, "end"],
          [{ asOf: new Date("2900-01-01T00:00:00Z") }, "as_of"],
          [{ groupBy: ["hour", "hour"] }, "group_by"],
          [{ groupBy: ["hour", "day", "month", "model", "provider"] }, "group_by"],
          [{ groupBy: ["tag"] }, "tag_key"],
          [{ groupBy: ["tag"], tagKey: "a\0" }, "tag_key"],
          [{ providers: ["a\0"] }, "providers"],
          [{ tags: { "a\0": "" } }, "tags"],
          [{ models: Array.from({ length: 1_001 }, String) }, "models"],
        ];
        for (const [change, field] of refused) {
          await expect(reader.query(costQuery(change)), field).rejects.toMatchObject({
            reason: "INVALID_REQUEST",
            fieldViolations: [{ field }],
          });
        }
      }));

    test("a report with too many rows is refused, not cut", () =>
      withDatabase(async (database, reader) => {
        const ledger = createDatabaseLedger(database);
        const intents = Array.from({ length: MAX_REPORT_ROWS + 1 }, (_, index) => ({
          endUser: `user-${index}`,
        }));
        await Promise.all(intents.map((intent) => ledger.settle(sampleOutcome(intent))));
        await expect(reader.query(costQuery({ groupBy: ["end_user"] }))).rejects.toMatchObject({
          reason: "INVALID_REQUEST",
          message: expect.stringContaining("narrow"),
        });
        expect((await reader.query(costQuery({ groupBy: ["model"] }))).totals.attempts).toBe(10_001n);
      }));

    describe("pages of records", () => {
      let database: Database;
      beforeAll(async () => {
        database = await source().open();
      });
      afterAll(() => database.close());

      test("show every record once, newest first, while records are added", async () => {
        const ledger = createDatabaseLedger(database);
        const reader = createCostReader(database);
        const random = createRandom(7);
        const outcomes = Array.from({ length: 57 }, () =>
          sampleOutcome({ occurredAt: new Date(Date.UTC(2026, 5, 1, 0, 0, 0, Math.floor(random() * 20))) }),
        );
        await Promise.all(outcomes.map(ledger.settle));

        const seen: string[] = [];
        let pageToken: string | undefined;
        do {
          const page = await reader.listRecords({
            filter: WHOLE_YEAR,
            pageSize: 1 + Math.floor(random() * 9),
            pageToken,
          });
          seen.push(...page.records.map((record) => record.attemptId));
          pageToken = page.nextPageToken;
          await ledger.settle(
            sampleOutcome({ apiKeyId: "k_added", occurredAt: new Date(Date.UTC(2026, 5, 1)) }),
          );
        } while (pageToken);

        const newestFirst = outcomes
          .map(({ intent }) => intent)
          .toSorted((a, b) => +b.occurredAt - +a.occurredAt || (a.attemptId < b.attemptId ? 1 : -1));
        expect(seen).toEqual(newestFirst.map((intent) => intent.attemptId));
      });

      test("refuse a token of other filters, of nobody's making, and a negative size", async () => {
        const reader = createCostReader(database);
        const filter = { ...WHOLE_YEAR, providers: ["openai", "deepseek"] };
        const { nextPageToken: pageToken } = await reader.listRecords({
          filter,
          pageSize: 1,
          pageToken: undefined,
        });
        const invalid = { reason: "INVALID_REQUEST" };
        const other = { ...filter, providers: ["openai"] };
        await expect(reader.listRecords({ filter: other, pageSize: 1, pageToken })).rejects.toMatchObject(
          invalid,
        );
        for (const token of ["x", "e30", `${pageToken}AAAA`, pageToken?.slice(3), "\0"]) {
          await expect(reader.listRecords({ filter, pageSize: 1, pageToken: token })).rejects.toMatchObject(
            invalid,
          );
        }
        await expect(reader.listRecords({ filter, pageSize: -1, pageToken })).rejects.toMatchObject(invalid);
        const reordered = { ...filter, providers: ["deepseek", "openai"] };
        await expect(
          reader.listRecords({ filter: reordered, pageSize: 99_999, pageToken }),
        ).resolves.toBeDefined();
      });
    });

    test("an attempt without an ordinary id or time is refused before it can cost money", () =>
      withDatabase(async (database) => {
        const ledger = createDatabaseLedger(database);
        await expect(ledger.open(sampleIntent({ attemptId: "x" }))).rejects.toThrow("UUID");
        await expect(ledger.open(sampleIntent({ occurredAt: new Date(Number.NaN) }))).rejects.toThrow(
          "years",
        );
        expect(ledger.openAttempts).toBe(0);
      }));
  });
}

const DIMENSIONS: readonly CostDimension[] = [
  "api_key",
  "provider",
  "model",
  "tag",
  "end_user",
  "hour",
  "day",
  "month",
];

/** Queries with random groupings, filters and intervals: ragged, of whole hours, and inside one hour. */
function* randomQueries(count: number): Generator<CostQuery> {
  const random = createRandom(99);
  const below = (limit: number): number => Math.floor(random() * limit);
  const some = <T>(values: readonly T[], chance: number): readonly T[] =>
    values.filter(() => random() < chance);
  const base = Date.UTC(2026, 9, 31, 19);
  for (let index = 0; index < count; index++) {
    const unit = [3_600_000, 1, 977][index % 3] ?? 1;
    const startMs = base + Math.floor(below(8 * 3_600_000) / unit) * unit;
    const endMs = startMs + Math.max(unit, Math.floor(below(6 * 3_600_000) / unit) * unit);
    const detailed = index % 2 === 0;
    const dimensions = detailed ? DIMENSIONS : DIMENSIONS.filter((by) => by !== "tag" && by !== "end_user");
    yield costQuery({
      start: new Date(startMs),
      end: new Date(endMs),
      groupBy: some(dimensions, 0.35).slice(0, 4),
      tagKey: "team",
      apiKeyIds: random() < 0.3 ? ["k_aaaaaaaaaaaa", "admin"] : [],
      providers: random() < 0.3 ? ["openai"] : [],
      models: random() < 0.2 ? ["org/name", "small"] : [],
      tags: detailed && random() < 0.3 ? { stage: "prod" } : {},
      endUsers: detailed && random() < 0.2 ? ["user%", "user-1"] : [],
    });
  }
}
