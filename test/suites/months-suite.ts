import { describe, expect, test } from "vitest";
import type { AttemptOutcome, CostFilter, CostQuery, RequestLogEntry } from "../../src/core/ledger.ts";
import type { Database } from "../../src/db/database.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { type DroppedMonth, startLedgerUpkeep } from "../../src/ledger/ledger-upkeep.ts";
import { readRecordPage } from "../../src/ledger/record-page.ts";
import { divideReport } from "../../src/ledger/report-segments.ts";
import { createDatabaseLedger } from "../support/database-ledger.ts";
import type { DatabaseSource } from "../support/databases.ts";
import { expectedReport, flatten } from "../support/expected-costs.ts";
import { createRandom, randomTraffic, sampleOutcome, sampleRequest } from "../support/ledger-samples.ts";
import { findRollupDifferences } from "../support/rollup-differences.ts";
import { costQuery } from "./ledger-suite.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The first instant of the month (UTC) so many months before the current one. */
function monthsAgo(months: number): Date {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - months));
}

const later = (date: Date, milliseconds: number): Date => new Date(date.getTime() + milliseconds);
const monthOf = (date: Date): string => date.toISOString().slice(0, 7);

/** Months of records, coarser sums and retention, on every database. */
export function describeMonths(kind: string, source: () => DatabaseSource): void {
  const withDatabase = async (work: (database: Database) => Promise<void>): Promise<void> => {
    const database = await source().open();
    try {
      await work(database);
    } finally {
      await database.close();
    }
  };

  describe(`months of the ledger on ${kind}`, () => {
    test(
      "reports over months equal the sums of the records, whichever tables they are taken from",
      () =>
        withDatabase(async (database) => {
          const reader = createCostReader(database);
          const traffic = randomTraffic({ seed: 5, requests: 600, start: monthsAgo(3), spanMs: 85 * DAY_MS });
          await settleAll(database, traffic);
          await settleAll(database, { outcomes: traffic.outcomes.slice(0, 90), requests: [] });
          expect(await findRollupDifferences(database.query)).toEqual([]);

          const tables = new Set<string>();
          for (const query of longQueries(40)) {
            const report = await reader.query(query);
            expect(flatten(report), JSON.stringify(query)).toEqual(expectedReport(traffic, query));
            const again = { ...query, asOf: report.asOf };
            expect(flatten(await reader.query(again)), JSON.stringify(query)).toEqual(flatten(report));
            for (const { source } of divideReport(query, report.asOf))
              tables.add(source === "records" ? source : source.table);
          }
          expect([...tables].sort()).toEqual([
            ...["cost_rollup_daily", "cost_rollup_daily_all_keys", "cost_rollup_hourly"],
            ...["cost_rollup_hourly_all_keys", "cost_rollup_monthly", "records"],
          ]);
        }),
      60_000,
    );

    test("a past instant inside the interval is exact, too", () =>
      withDatabase(async (database) => {
        const reader = createCostReader(database);
        const start = monthsAgo(2);
        const early = randomTraffic({ seed: 6, requests: 60, start, spanMs: 50 * DAY_MS });
        await settleAll(database, early);
        const query = costQuery({ start, end: later(start, 400 * DAY_MS), groupBy: ["month", "api_key"] });
        const { asOf } = await reader.query(query);
        await settleAll(database, randomTraffic({ seed: 7, requests: 60, start, spanMs: 50 * DAY_MS }));
        expect(flatten(await reader.query({ ...query, asOf }))).toEqual(expectedReport(early, query));
      }));

    test("no partition lets its records be changed, whenever it was made", () =>
      withDatabase(async (database) => {
        await createDatabaseLedger(database).settle(sampleOutcome({ occurredAt: monthsAgo(30) }));
        const partitions = await database.query(
          "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'cost_record'::regclass",
        );
        const names = partitions.map(({ name }) => String(name));
        expect(names).toContain(`cost_record_${monthOf(monthsAgo(30)).replace("-", "_")}`);
        expect(names.length).toBeGreaterThanOrEqual(4);
        for (const name of [...names, "cost_record"]) {
          for (const change of [`UPDATE ${name} SET cost_usd = 0`, `DELETE FROM ${name}`, `TRUNCATE ${name}`])
            await expect(database.query(change), change).rejects.toThrow("append-only");
        }
      }));

    test("records of before the partitions are carried over, with every sum", () =>
      withDatabase(async (database) => {
        const traffic = randomTraffic({ seed: 8, requests: 120, start: monthsAgo(4), spanMs: 100 * DAY_MS });
        await settleAll(database, traffic);
        const query = costQuery({ start: monthsAgo(5), end: monthsAgo(-1), groupBy: ["day", "model"] });
        await database.orm.migrator.down({ to: "Migration0002ApiKeys" });
        const [plain] = await database.query(
          "SELECT relkind::text FROM pg_class WHERE oid = 'cost_record'::regclass",
        );
        expect(plain?.relkind).toBe("r");
        await expect(database.query("DELETE FROM cost_record")).rejects.toThrow("append-only");

        await database.orm.migrator.up();
        expect(flatten(await createCostReader(database).query(query))).toEqual(
          expectedReport(traffic, query),
        );
        expect(await findRollupDifferences(database.query)).toEqual([]);
        await expect(database.query("DELETE FROM cost_record")).rejects.toThrow("append-only");
        // They still count once.
        await settleAll(database, { outcomes: traffic.outcomes, requests: [] });
        expect(flatten(await createCostReader(database).query(query))).toEqual(
          expectedReport(traffic, query),
        );
      }));

    test("pages of rare records look at a bounded number of others, and still show each once", () =>
      withDatabase(async (database) => {
        const ledger = createDatabaseLedger(database);
        const outcomes = Array.from({ length: 90 }, (_, index) =>
          sampleOutcome({
            occurredAt: later(monthsAgo(2), index * DAY_MS),
            tags: index % 17 === 3 ? { rare: "yes" } : {},
            apiKeyId: index % 2 === 0 ? "k_even" : "k_odd",
          }),
        );
        await Promise.all(outcomes.map(ledger.settle));
        for (const apiKeyIds of [[], ["k_even"], ["k_even", "k_odd"]]) {
          const filter = {
            ...costQuery(),
            start: monthsAgo(3),
            end: monthsAgo(-3),
            tags: { rare: "yes" },
            apiKeyIds,
          };
          const { seen, sizes } = await readAllPages(database, filter);
          const expected = outcomes
            .map(({ intent }) => intent)
            .filter(
              ({ tags, apiKeyId }) => "rare" in tags && (apiKeyIds.length !== 1 || apiKeyId === "k_even"),
            );
          expect(seen).toEqual(expected.map(({ attemptId }) => attemptId).reverse());
          expect(Math.min(...sizes)).toBe(0);
        }
      }));

    test("retention drops whole months and keeps their sums; what needs the records is refused by name", () =>
      withDatabase(async (database) => {
        const traffic = randomTraffic({ seed: 9, requests: 200, start: monthsAgo(5), spanMs: 150 * DAY_MS });
        await settleAll(database, traffic);
        const reader = createCostReader(database);
        const whole = costQuery({ start: monthsAgo(6), end: monthsAgo(-1), groupBy: ["month", "api_key"] });
        const before = await reader.query(whole);
        const dropped = await keepUp(database, 2);

        expect(dropped.map(({ month }) => month)).toEqual(
          [5, 4, 3].map((months) => monthOf(monthsAgo(months))),
        );
        const attempts = traffic.outcomes.filter(({ intent }) => intent.occurredAt < monthsAgo(2)).length;
        expect(dropped.reduce((sum, month) => sum + Number(month.attempts), 0)).toBe(attempts);
        const [left] = await database.query(
          "SELECT min(occurred_at) >= $1::timestamptz AS kept FROM cost_record",
          [monthsAgo(2).toISOString()],
        );
        expect(left?.kept).toBe(true);
        expect(flatten(await reader.query(whole))).toEqual(flatten(before));
        expect(flatten(await reader.query({ ...whole, asOf: before.asOf }))).toEqual(flatten(before));
        expect(await findRollupDifferences(database.query)).toEqual([]);
        expect(await keepUp(database, 2)).toEqual([]);

        const refused: Partial<CostQuery>[] = [
          { groupBy: ["tag"], tagKey: "team" },
          { endUsers: ["user-1"] },
          { tags: { team: "ads" } },
          { start: later(monthsAgo(5), 1) },
          { asOf: later(before.asOf, -60_000) },
        ];
        const error = {
          reason: "INVALID_REQUEST",
          message: expect.stringContaining(monthsAgo(2).toISOString()),
          fieldViolations: [{ field: "start" }],
        };
        for (const change of refused)
          await expect(reader.query({ ...whole, ...change }), JSON.stringify(change)).rejects.toMatchObject(
            error,
          );
        const list = { filter: whole, pageSize: 10, pageToken: undefined };
        await expect(reader.listRecords(list)).rejects.toMatchObject(error);

        const kept = { ...whole, start: monthsAgo(2) };
        await expect(reader.listRecords({ ...list, filter: kept })).resolves.toMatchObject({
          records: { length: 10 },
        });
        const byTag = { ...kept, groupBy: ["tag"], tagKey: "team" } satisfies CostQuery;
        expect(flatten(await reader.query(byTag))).toEqual(expectedReport(traffic, byTag));
      }));

    test("a row that comes after its month was dropped is kept apart, once, and changes no sum", () =>
      withDatabase(async (database) => {
        const late: unknown[] = [];
        const rejected: unknown[] = [];
        const ledger = createDatabaseLedger(database, {
          onLate: (rows) => late.push(...rows),
          onRejected: (error) => rejected.push(error),
        });
        const old = { occurredAt: later(monthsAgo(4), HOUR_MS) };
        const stored = sampleOutcome(old);
        await Promise.all([ledger.settle(stored), ledger.finish(sampleRequest(old))]);
        expect(await keepUp(database, 2)).toHaveLength(1);

        // The ledger has written to that month before, so it takes it to be there.
        const [again, other, recent] = [
          stored,
          sampleOutcome(old),
          sampleOutcome({ occurredAt: monthsAgo(0) }),
        ];
        const older = sampleOutcome({ occurredAt: monthsAgo(40) });
        await Promise.all([
          ...[again, other, recent, older].map(ledger.settle),
          ledger.finish(sampleRequest(old)),
        ]);
        await ledger.settle(other);

        const { totals } = await createCostReader(database).query(
          costQuery({ start: monthsAgo(50), end: monthsAgo(-1) }),
        );
        expect(totals).toMatchObject({ attempts: 2n, requests: 1n });
        const kept = await database.query(
          "SELECT content ->> 'record_id' AS id, content ->> 'cost_usd' AS cost FROM ledger_late_row WHERE table_name = 'cost_record'",
        );
        const ids = [again, other, older].map(({ intent }) => intent.attemptId);
        expect(kept.map(({ id }) => String(id)).sort()).toEqual(ids.sort());
        expect(kept.every(({ cost }) => cost === "0.000116000000")).toBe(true);
        expect(late).toHaveLength(5);
        expect(rejected).toEqual([]);
      }));

    test("nothing is dropped while the journal holds what the database has not taken", () =>
      withDatabase(async (database) => {
        await createDatabaseLedger(database).settle(sampleOutcome({ occurredAt: monthsAgo(9) }));
        const errors: unknown[] = [];
        const upkeep = startLedgerUpkeep({
          ...{ database, retentionMonths: 2, caughtUp: async () => false },
          onDropped: () => expect.unreachable(),
          onError: (error) => errors.push(error),
        });
        await upkeep.round();
        expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining("journal") })]);
        await upkeep.stop();
        expect(await keepUp(database, undefined)).toEqual([]);
        expect(await keepUp(database, 9)).toEqual([]);
        expect(await keepUp(database, 8)).toHaveLength(1);
        await expect(database.query("SELECT drop_oldest_ledger_month(1)")).rejects.toThrow("two months");
      }));

    test("the months to come are there before their first record", () =>
      withDatabase(async (database) => {
        const next = monthOf(monthsAgo(-2)).replace("-", "_");
        await database.query(`DROP TABLE cost_record_${next}, request_log_${next}`);
        await keepUp(database, undefined);
        const [made] = await database.query(`SELECT to_regclass('cost_record_${next}') IS NOT NULL AS made`);
        expect(made?.made).toBe(true);
      }));
  });
}

async function settleAll(
  database: Database,
  traffic: { readonly outcomes: readonly AttemptOutcome[]; readonly requests: readonly RequestLogEntry[] },
): Promise<void> {
  const ledger = createDatabaseLedger(database, { maxBatchRows: 61 });
  await Promise.all([
    ...traffic.outcomes.map(ledger.settle),
    ...traffic.requests.map((entry) => ledger.finish(entry)),
  ]);
}

/** One run of the upkeep; resolves with the months that it dropped. */
async function keepUp(database: Database, retentionMonths: number | undefined): Promise<DroppedMonth[]> {
  const dropped: DroppedMonth[] = [];
  const errors: unknown[] = [];
  const upkeep = startLedgerUpkeep({
    ...{ database, retentionMonths, caughtUp: async () => true },
    onDropped: (month) => dropped.push(month),
    onError: (error) => errors.push(error),
  });
  await upkeep.round();
  await upkeep.stop();
  expect(errors).toEqual([]);
  return dropped;
}

async function readAllPages(database: Database, filter: CostFilter) {
  const seen: string[] = [];
  const sizes: number[] = [];
  let pageToken: string | undefined;
  do {
    const page = await readRecordPage(database, { filter, pageSize: 2, pageToken }, 7);
    seen.push(...page.records.map(({ attemptId }) => attemptId));
    sizes.push(page.records.length);
    pageToken = page.nextPageToken;
  } while (pageToken);
  return { seen, sizes };
}

/** Queries with random groupings and intervals of up to three months, whole or ragged. */
function* longQueries(count: number): Generator<CostQuery> {
  const random = createRandom(11);
  const below = (limit: number): number => Math.floor(random() * limit);
  const base = monthsAgo(3).getTime();
  for (let index = 0; index < count; index++) {
    const unitMs = [DAY_MS, HOUR_MS, 977][index % 3] ?? 1;
    const startMs = base + Math.floor(below(60 * DAY_MS) / unitMs) * unitMs;
    const endMs = startMs + Math.max(unitMs, Math.floor(below(90 * DAY_MS) / unitMs) * unitMs);
    const wholeMonths = index % 4 === 0;
    const dimensions = (["api_key", "provider", "model", "hour", "day", "month"] as const).filter(
      () => random() < 0.3,
    );
    yield costQuery({
      start: wholeMonths ? monthsAgo(3 - below(2)) : new Date(startMs),
      end: wholeMonths ? monthsAgo(below(2)) : new Date(endMs),
      groupBy: dimensions.slice(0, 4),
      apiKeyIds: random() < 0.4 ? ["k_aaaaaaaaaaaa", "admin"].slice(below(2)) : [],
      providers: random() < 0.3 ? ["openai"] : [],
      models: random() < 0.2 ? ["org/name", "small"] : [],
    });
  }
}
