import { describe, expect, test } from "vitest";
import type { AttemptOutcome } from "../../src/core/ledger.ts";
import type { Database } from "../../src/db/database.ts";
import type { JournalView } from "../../src/ledger/journal-check.ts";
import type { JournalRow } from "../../src/ledger/journal-store.ts";
import { ROLLUPS } from "../../src/ledger/rollups.ts";
import { chargeToJson, requestToJson } from "../../src/ledger/stored-rows.ts";
import { createLedgerVerifier } from "../../src/ledger/verify-ledger.ts";
import { priceAttempt } from "../../src/pricing/price-attempt.ts";
import { createDatabaseLedger } from "../support/database-ledger.ts";
import type { DatabaseSource } from "../support/databases.ts";
import { randomTraffic, SAMPLE_PRICE, sampleOutcome, sampleRequest } from "../support/ledger-samples.ts";

const EVER = { start: undefined, end: undefined };
const TIMEOUT_MS = 60_000;

/** Traffic whose costs are right, with a late outcome for every fourth attempt. */
function honestTraffic(seed: number) {
  const span = { start: new Date("2026-10-31T20:00:00Z"), spanMs: 9 * 3_600_000 };
  const traffic = randomTraffic({ seed, requests: 60, ...span });
  const outcomes = traffic.outcomes.map((outcome): AttemptOutcome => {
    if (!outcome.usage || outcome.billingState === "unpriced") return { ...outcome, unitPrices: undefined };
    return { ...outcome, ...priceAttempt(outcome.usage, SAMPLE_PRICE) };
  });
  const late = outcomes
    .filter(({ usage }, index) => usage && index % 4 === 0)
    .map((outcome): AttemptOutcome => {
      const tokensOut = (outcome.usage?.tokensOut ?? 0) + 7;
      const textTokensOut = (outcome.usage?.textTokensOut ?? 0) + 7;
      const usage = { ...(outcome.usage ?? never()), tokensOut, textTokensOut };
      return { ...outcome, usage, billingState: "settled", ...priceAttempt(usage, SAMPLE_PRICE) };
    });
  return { outcomes, late, requests: traffic.requests };
}

function never(): never {
  throw new Error("a usage was filtered for");
}

/** Changes what nothing may change. */
async function tamper(database: Database, ...statements: readonly string[]): Promise<void> {
  // Of the table and of its partitions, each of which has its own.
  await database.query(`DO $$
    DECLARE part regclass;
    BEGIN
      FOR part IN SELECT relid FROM pg_partition_tree('cost_record') LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', part);
      END LOOP;
    END $$`);
  for (const statement of statements) await database.query(statement);
}

const ANY_CHARGE = (condition = "true") =>
  `attempt_id = (SELECT attempt_id FROM cost_record WHERE kind = 'charge' AND ${condition} ORDER BY record_id LIMIT 1)`;

/** What is done to the books, and which checks must name it. */
const TAMPERINGS: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  [
    "a record that is gone",
    [`DELETE FROM cost_record WHERE ${ANY_CHARGE("tokens_in > 0")}`],
    ["attempts_complete", "records_equal_cost_rollup_hourly", "reports_equal_records"],
  ],
  [
    "a cost that is one picodollar too high",
    [
      `UPDATE cost_record SET cost_usd = cost_usd + 0.000000000001 WHERE kind = 'charge' AND ${ANY_CHARGE("cost_usd > 0")}`,
    ],
    ["record_arithmetic", "records_equal_cost_rollup_hourly", "reports_equal_records"],
  ],
  [
    "a unit price that was changed",
    ["UPDATE cost_record SET text_out_usd_per_million = 3 WHERE kind = 'charge' AND text_tokens_out > 0"],
    ["record_arithmetic"],
  ],
  [
    "buckets that do not sum to their total",
    [
      `UPDATE cost_record SET tokens_in = tokens_in + 1 WHERE kind = 'charge' AND ${ANY_CHARGE("tokens_in > 0")}`,
    ],
    ["record_arithmetic", "records_equal_cost_rollup_hourly"],
  ],
  [
    "a cost of what was not billed",
    [`UPDATE cost_record SET cost_usd = 1 WHERE ${ANY_CHARGE("billing_state = 'not_billed'")}`],
    ["record_arithmetic"],
  ],
  [
    "a charge that is there twice",
    [
      "ALTER TABLE cost_record DROP CONSTRAINT cost_record_charged_once",
      `INSERT INTO cost_record SELECT (jsonb_populate_record(original,
         jsonb_build_object('record_id', gen_random_uuid()))).*
       FROM cost_record AS original WHERE kind = 'charge' AND ${ANY_CHARGE()}`,
    ],
    ["attempts_charged_once", "attempts_complete", "records_equal_cost_rollup_hourly"],
  ],
  [
    "an hourly sum that was changed",
    [
      "UPDATE cost_rollup_hourly SET tokens_out = tokens_out + 1 WHERE hour = (SELECT min(hour) FROM cost_rollup_hourly)",
    ],
    ["records_equal_cost_rollup_hourly"],
  ],
  [
    "an hourly sum that is gone",
    [
      "DELETE FROM cost_rollup_hourly WHERE attempts > 0 AND hour = (SELECT min(hour) FROM cost_rollup_hourly WHERE attempts > 0)",
    ],
    ["records_equal_cost_rollup_hourly"],
  ],
  [
    "a daily sum that was changed",
    ["UPDATE cost_rollup_daily_all_keys SET tokens_out = tokens_out + 1"],
    ["records_equal_cost_rollup_daily_all_keys", "reports_equal_records"],
  ],
  [
    "a monthly sum that is gone",
    ["DELETE FROM cost_rollup_monthly WHERE attempts > 0"],
    ["records_equal_cost_rollup_monthly", "reports_equal_records"],
  ],
  [
    "a request that is gone",
    [
      "DELETE FROM request_log WHERE request_log_id = (SELECT request_log_id FROM request_log WHERE attempts > 0 ORDER BY request_log_id LIMIT 1)",
    ],
    ["records_equal_cost_rollup_hourly", "reports_equal_records"],
  ],
  [
    "a request that states too many attempts",
    [
      "UPDATE request_log SET attempts = attempts + 1 WHERE request_log_id = (SELECT request_log_id FROM request_log WHERE attempts > 0 ORDER BY request_log_id LIMIT 1)",
    ],
    ["attempts_complete"],
  ],
  [
    "an attempt that no request explains",
    [
      "UPDATE request_log SET attempts = attempts - 1 WHERE request_log_id = (SELECT request_log_id FROM request_log WHERE attempts > 1 ORDER BY request_log_id LIMIT 1)",
    ],
    ["attempts_complete"],
  ],
  [
    "a reversal without its adjustment",
    [
      "DELETE FROM cost_record WHERE record_id = (SELECT record_id FROM cost_record WHERE kind = 'adjustment' ORDER BY record_id LIMIT 1)",
    ],
    ["corrections_whole", "records_equal_cost_rollup_hourly"],
  ],
  [
    "a reversal that is not the negation of the entry before it",
    [
      "UPDATE cost_record SET tags = '{\"team\": \"else\"}' WHERE record_id = (SELECT record_id FROM cost_record WHERE kind = 'reversal' ORDER BY record_id LIMIT 1)",
    ],
    ["corrections_whole"],
  ],
  [
    "a correction with a number too high",
    [
      "UPDATE cost_record SET revision = 2 WHERE attempt_id = (SELECT attempt_id FROM cost_record WHERE kind = 'reversal' ORDER BY record_id LIMIT 1) AND kind <> 'charge'",
    ],
    ["corrections_whole"],
  ],
  [
    "an adjustment on somebody else's key",
    [
      "UPDATE cost_record SET api_key_id = 'k_else' WHERE record_id = (SELECT record_id FROM cost_record WHERE kind = 'adjustment' ORDER BY record_id LIMIT 1)",
    ],
    ["corrections_whole", "records_equal_cost_rollup_hourly"],
  ],
];

/** Verification on every database under the ledger. */
export function describeVerification(kind: string, source: () => DatabaseSource): void {
  const withBooks = async (work: (database: Database) => Promise<void>): Promise<void> => {
    const database = await source().open();
    try {
      await work(database);
    } finally {
      await database.close();
    }
  };
  const write = async (
    database: Database,
    { outcomes, late, requests }: ReturnType<typeof honestTraffic>,
  ) => {
    const ledger = createDatabaseLedger(database);
    await Promise.all([
      ...outcomes.map(ledger.settle),
      ...late.map(ledger.correct),
      ...requests.map((entry) => ledger.finish(entry)),
    ]);
  };
  const verify = (database: Database, journal?: JournalView, interval: Interval = EVER) =>
    createLedgerVerifier(database, { journal }).verify(interval, TIMEOUT_MS);

  describe(`the verification on ${kind}`, () => {
    test("finds nothing in books that are right, however they are cut", () =>
      withBooks(async (database) => {
        const traffic = honestTraffic(5);
        await write(database, traffic);
        const whole = await verify(database);
        expect(whole.differences).toEqual([]);
        expect(whole.ok).toBe(true);
        const compared = Object.fromEntries(whole.checks.map(({ name, compared }) => [name, compared]));
        expect(compared).toEqual({
          ...Object.fromEntries(ROLLUPS.map(({ table }) => [`records_equal_${table}`, expect.any(BigInt)])),
          attempts_complete: BigInt(traffic.requests.length),
          attempts_charged_once: BigInt(traffic.outcomes.length + 2 * traffic.late.length),
          corrections_whole: BigInt(traffic.late.length),
          record_arithmetic: BigInt(traffic.outcomes.length + 2 * traffic.late.length),
          reports_equal_records: 5n,
        });
        const part = { start: new Date("2026-10-31T22:10:00Z"), end: new Date("2026-10-31T22:20:00Z") };
        const day = await verify(database, undefined, part);
        expect(day).toMatchObject({
          ok: true,
          start: new Date("2026-10-31T00:00:00Z"),
          end: new Date("2026-11-01T00:00:00Z"),
        });
        expect((await verify(database, undefined, { ...part, start: part.end, end: undefined })).ok).toBe(
          true,
        );
      }));

    test(
      "names whatever was tampered with",
      () =>
        withBooks(async (database) => {
          for (const [name, statements, checks] of TAMPERINGS) {
            await write(database, honestTraffic(6));
            expect((await verify(database)).ok, `before ${name}`).toBe(true);
            await tamper(database, ...statements);
            const { ok, differences } = await verify(database);
            const found = new Set(differences.map(({ check }) => check));
            expect(ok, name).toBe(false);
            expect([...found], name).toEqual(expect.arrayContaining([...checks]));
            for (const { key, expected, found: there } of differences) {
              expect(key, name).not.toBe("");
              expect(there, name).not.toBe(expected);
            }
            await tamper(
              database,
              `TRUNCATE cost_record, request_log, ${ROLLUPS.map(({ table }) => table).join(", ")}`,
            );
          }
        }),
      120_000,
    );

    test("notes charges whose request has no row yet, and lets a request id be used twice", () =>
      withBooks(async (database) => {
        const ledger = createDatabaseLedger(database);
        await Promise.all([
          ledger.settle(sampleOutcome({ requestId: "under way" })),
          ledger.settle(sampleOutcome({ requestId: "twice" })),
          ledger.finish(sampleRequest({ requestId: "twice" })),
          ledger.settle(sampleOutcome({ requestId: "twice" })),
          ledger.finish(sampleRequest({ requestId: "twice" })),
        ]);
        const { ok, checks } = await verify(database);
        expect(ok).toBe(true);
        expect(checks.find(({ name }) => name === "attempts_complete")).toMatchObject({ noted: 1n });
      }));

    test("lists a hundred differences of a check and counts all", () =>
      withBooks(async (database) => {
        const ledger = createDatabaseLedger(database);
        const outcomes = Array.from({ length: 150 }, (_, index) => sampleOutcome({ requestId: `r${index}` }));
        await Promise.all(outcomes.map(ledger.settle));
        await tamper(database, "UPDATE cost_record SET text_tokens_out = 51");
        const { checks, differences } = await verify(database);
        const check = "record_arithmetic";
        expect(checks.find(({ name }) => name === check)).toMatchObject({ differing: 150n });
        expect(differences.filter((difference) => difference.check === check)).toHaveLength(100);
        const [first] = differences.filter((difference) => difference.check === check);
        expect(first).toMatchObject({
          expected: expect.stringContaining("0.000118"),
          found: "cost 0.000116000000",
        });
      }));

    test("compares what the journal still holds with what is in the database", () =>
      withBooks(async (database) => {
        const ledger = createDatabaseLedger(database);
        const charged = sampleOutcome({ requestId: "charged" });
        const late = { ...charged, usageSource: "estimated" as const };
        const lost = sampleOutcome({ requestId: "lost" });
        const waiting = sampleOutcome({ requestId: "waiting" });
        await ledger.settle(charged);
        await ledger.correct(late);
        const rows = [
          ...[charged, lost, waiting].map((outcome) => ({
            table: "cost_record" as const,
            json: chargeToJson(outcome),
          })),
          { table: "late_outcome" as const, json: chargeToJson(late) },
        ];
        const journal = (shippedUpTo: number, order: readonly number[]): JournalView => ({
          shippedUpTo,
          read: async (after) =>
            order
              .map((row, index) => ({ ...(rows[row] ?? never()), sequence: index + 1, writtenAtMs: 0 }))
              .map((row): JournalRow => ({ ...row, priceId: undefined }))
              .filter(({ sequence }) => sequence > after),
        });
        const checkOf = async (view: JournalView) => {
          const { checks, differences } = await verify(database, view);
          const check = checks.find(({ name }) => name === "journal_in_records");
          return { check, keys: differences.map(({ key }) => key) };
        };
        expect(await checkOf(journal(2, [0, 3, 2]))).toMatchObject({
          check: { compared: 3n, differing: 0n, noted: 1n },
        });
        expect(await checkOf(journal(3, [0, 1, 3]))).toMatchObject({
          check: { differing: 1n, noted: 0n },
          keys: [`cost_record ${lost.intent.attemptId}`],
        });
        await tamper(database, "UPDATE cost_record SET end_user = 'somebody' WHERE kind = 'charge'");
        const { differences } = await verify(database, journal(0, [0]));
        expect(differences).toContainEqual({
          check: "journal_in_records",
          key: `cost_record ${charged.intent.attemptId}`,
          expected: "the journal's row in end_user",
          found: "another content",
        });
        const request = {
          table: "request_log" as const,
          json: requestToJson(lost.intent.attemptId, sampleRequest()),
        };
        const view: JournalView = {
          shippedUpTo: 1,
          read: async () => [{ ...request, sequence: 1, writtenAtMs: 0, priceId: undefined }],
        };
        expect((await checkOf(view)).keys).toContain(`request_log ${lost.intent.attemptId}`);
      }));
  });
}

type Interval = { readonly start: Date | undefined; readonly end: Date | undefined };
