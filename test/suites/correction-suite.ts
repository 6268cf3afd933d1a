import { describe, expect, test } from "vitest";
import type { AdjustmentRequest } from "../../src/core/cost-adjustment.ts";
import type { AttemptOutcome, CostReader, CostRecord } from "../../src/core/ledger.ts";
import type { Price } from "../../src/core/price.ts";
import type { Database } from "../../src/db/database.ts";
import { type CostsAdjusted, createCostAdjuster } from "../../src/gateway/adjust-costs.ts";
import { createAdjustmentStore } from "../../src/ledger/adjustment-store.ts";
import { createCostReader } from "../../src/ledger/cost-reader.ts";
import { priceAttempt } from "../../src/pricing/price-attempt.ts";
import { createDatabaseLedger } from "../support/database-ledger.ts";
import type { DatabaseSource } from "../support/databases.ts";
import { expectedReport, flatten } from "../support/expected-costs.ts";
import {
  randomTraffic,
  SAMPLE_PRICE,
  SAMPLE_UNIT_PRICES,
  sampleOutcome,
  sampleRequest,
} from "../support/ledger-samples.ts";
import { ADMIN } from "../support/principals.ts";
import { costQuery, WHOLE_YEAR } from "./ledger-suite.ts";

/** Twice the sample's prices. */
const BETTER_PRICE: Price = {
  ...SAMPLE_PRICE,
  priceId: "better-price",
  unitPrices: Object.fromEntries(
    Object.entries(SAMPLE_UNIT_PRICES).map(([name, price]) => [name, price * 2n]),
  ) as unknown as Price["unitPrices"],
  tiers: [],
};

const LATE_USAGE = {
  tokensIn: 120,
  tokensOut: 80,
  uncachedTokensIn: 120,
  cacheReadTokensIn: undefined,
  cacheWriteTokensIn: undefined,
  textTokensOut: 80,
  reasoningTokensOut: undefined,
};

/** The same attempt, once the provider's own count has come. */
function lateOutcome(earlier: AttemptOutcome): AttemptOutcome {
  const cost = priceAttempt(LATE_USAGE, SAMPLE_PRICE);
  return { ...earlier, usage: LATE_USAGE, usageSource: "reported", billingState: "settled", ...cost };
}

const estimated = (): AttemptOutcome => sampleOutcome({}, { usageSource: "estimated" });
const unpriced = (changes: Parameters<typeof sampleOutcome>[0] = {}): AttemptOutcome =>
  sampleOutcome(
    { price: undefined, ...changes },
    { billingState: "unpriced", costPicoUsd: undefined, unitPrices: undefined },
  );

/** Late outcomes and re-rating on every database under the ledger. */
export function describeCorrections(kind: string, source: () => DatabaseSource): void {
  const withDatabase = async (work: (parts: Parts) => Promise<void>): Promise<void> => {
    const database = await source().open();
    try {
      await work(createParts(database));
    } finally {
      await database.close();
    }
  };

  describe(`late outcomes on ${kind}`, () => {
    test("take back what was charged and put the final outcome in its place, at the attempt's own time", () =>
      withDatabase(async ({ ledger, reader, records, query }) => {
        const early = estimated();
        const final = lateOutcome(early);
        await Promise.all([ledger.settle(early), ledger.finish(sampleRequest())]);
        const before = await query();
        await ledger.correct(final);

        const entries = await records();
        expect(entries.map(({ kind, revision }) => [kind, revision])).toEqual([
          ["charge", 0],
          ["reversal", 1],
          ["adjustment", 1],
        ]);
        const [charge, reversal, adjustment] = entries;
        expect(reversal).toMatchObject({
          usage: { tokensIn: -100, tokensOut: -50, cacheReadTokensIn: -40, reasoningTokensOut: undefined },
          costPicoUsd: -(early.costPicoUsd ?? 0n),
          usageSource: "estimated",
        });
        const { attemptId, occurredAt, tags, endUser } = early.intent;
        expect(adjustment).toMatchObject({
          ...{ attemptId, occurredAt, tags, endUser },
          ...{ usage: LATE_USAGE, usageSource: "reported", costPicoUsd: final.costPicoUsd },
        });
        expect(charge).toMatchObject({ usage: early.usage, costPicoUsd: early.costPicoUsd });
        const traffic = { outcomes: [final], requests: [sampleRequest()] };
        for (const changes of [
          {},
          { groupBy: ["hour" as const, "model" as const] },
          { endUsers: ["user-1"] },
        ])
          expect(flatten(await reader.query(costQuery(changes)))).toEqual(
            expectedReport(traffic, costQuery(changes)),
          );
        // The report of the instant before stays as it was.
        const again = await reader.query(costQuery({ asOf: before.asOf }));
        expect(flatten(again)).toEqual(flatten(before));
      }));

    test("take back and keep what the provider says of the cost, whoever corrects", () =>
      withDatabase(async ({ ledger, records, adjust, database }) => {
        const early = { ...estimated(), providerCostPicoUsd: 1_500_000_000_000n };
        const final = { ...lateOutcome(early), providerCostPicoUsd: 2_000_000_000_000n };
        await ledger.settle(early);
        await ledger.correct(final);
        await adjust({ scope: "all" });
        expect(await records()).toHaveLength(5);
        const stated = await database.query(
          "SELECT kind, provider_cost_usd::float8 AS usd FROM cost_record ORDER BY revision, kind DESC",
        );
        expect(stated).toEqual([
          { kind: "charge", usd: 1.5 },
          { kind: "reversal", usd: -1.5 },
          { kind: "adjustment", usd: 2 },
          { kind: "reversal", usd: -2 },
          { kind: "adjustment", usd: 2 },
        ]);
      }));

    test("count once, however often and by whomever they are told, also in the batch of their charge", () =>
      withDatabase(async ({ database, ledger, records }) => {
        const early = estimated();
        const final = lateOutcome(early);
        const other = createDatabaseLedger(database);
        await Promise.all([ledger.settle(early), ledger.correct(final), ledger.correct(final)]);
        await Promise.all([other.correct(final), ledger.correct(final), other.settle(early)]);
        expect(await records()).toHaveLength(3);
      }));

    test("write nothing when they count and cost the same", () =>
      withDatabase(async ({ ledger, records }) => {
        const early = estimated();
        await ledger.settle(early);
        await ledger.correct({ ...early, latencyMs: 9_000, outcome: "cancelled" });
        expect(await records()).toHaveLength(1);
      }));

    test("that are told again after a re-rating leave it alone", () =>
      withDatabase(async ({ ledger, records, adjust, query }) => {
        const [same, other] = [estimated(), estimated()];
        const repeat = () => Promise.all([ledger.correct(same), ledger.correct(lateOutcome(other))]);
        await Promise.all([same, other].map(ledger.settle));
        await repeat();
        await adjust({ scope: "all" });
        const before = await query();
        await repeat();
        expect(await records()).toHaveLength(2 + 2 + 4);
        expect(flatten(await query())).toEqual(flatten(before));
      }));

    test("of an attempt that the ledger does not have are handed back, and hold up nobody", () =>
      withDatabase(async ({ database, records }) => {
        const rejected: string[] = [];
        const ledger = createDatabaseLedger(database, { onRejected: (_, { json }) => rejected.push(json) });
        const [lost, early] = [estimated(), estimated()];
        const told = await Promise.allSettled([
          ledger.correct(lateOutcome(lost)),
          ledger.settle(early),
          ledger.correct(lateOutcome(early)),
        ]);
        expect(told.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
        expect(rejected).toEqual([expect.stringContaining(lost.intent.attemptId)]);
        expect(await records()).toHaveLength(3);
      }));

    test("and re-rating that race leave whole corrections, one on top of the other", () =>
      withDatabase(async ({ ledger, records, adjust, query }) => {
        const early = Array.from({ length: 40 }, () => estimated());
        await Promise.all(early.map(ledger.settle));
        await Promise.all([
          ...early.map((outcome) => ledger.correct(lateOutcome(outcome))),
          adjust({ scope: "all" }),
        ]);
        // Whoever came second saw the other's entry; a re-rating that came first is replaced by the late outcome.
        await adjust({ scope: "all", requestId: "again" });
        const better = priceAttempt(LATE_USAGE, BETTER_PRICE).costPicoUsd * 40n;
        expect((await query()).totals).toMatchObject({
          attempts: 40n,
          tokensIn: 4_800n,
          costPicoUsd: better,
        });
        for (const entries of Map.groupBy(await records(), ({ attemptId }) => attemptId).values()) {
          const revisions = entries.map(({ kind, revision }) => `${revision} ${kind}`);
          const pairs = [1, 2, 3].flatMap((revision) => [`${revision} reversal`, `${revision} adjustment`]);
          const expected = ["0 charge", ...pairs];
          expect(expected.slice(0, revisions.length)).toEqual(revisions);
          expect(revisions.length % 2).toBe(1);
        }
      }));
  });

  describe(`re-rating on ${kind}`, () => {
    test("prices what had no price, keeps what is estimated or unknown so, and leaves the rest alone", () =>
      withDatabase(async ({ database, ledger, records, adjust, query }) => {
        const outcomes: readonly AttemptOutcome[] = [
          unpriced(),
          { ...unpriced(), usageSource: "estimated" },
          { ...unpriced(), usageSource: "estimated", billingState: "unknown" },
          unpriced({ model: "of-no-price" }),
          sampleOutcome(),
          sampleOutcome(
            {},
            { usage: undefined, usageSource: "none", billingState: "not_billed", costPicoUsd: 0n },
          ),
        ];
        await Promise.all(outcomes.map(ledger.settle));
        const before = await query();
        const result = await adjust({ scope: "unpriced" });
        const cost = priceAttempt(outcomes[0]?.usage ?? LATE_USAGE, BETTER_PRICE).costPicoUsd;
        expect(result).toMatchObject({
          ...{ complete: true, examined: 4n, adjusted: 3n, unchanged: 0n, stillUnpriced: 1n },
          ...{ costBeforePicoUsd: 0n, costAfterPicoUsd: 3n * cost, priceIds: ["better-price"] },
        });
        const { coverage, costPicoUsd, attempts } = (await query()).totals;
        expect(attempts).toBe(6n);
        expect(costPicoUsd).toBe(before.totals.costPicoUsd + 3n * cost);
        expect(coverage).toMatchObject({
          ...{ reportedAttempts: 2n, estimatedAttempts: 1n, unknownAttempts: 1n, unpricedAttempts: 1n },
          ...{ notBilledAttempts: 1n, unknownCostPicoUsd: cost, estimatedCostPicoUsd: cost },
        });
        expect(flatten(await query(before.asOf))).toEqual(flatten(before));
        const adjustments = (await records()).filter(({ kind }) => kind === "adjustment");
        expect(adjustments.map(({ adjustmentId }) => adjustmentId)).toEqual(
          Array.from({ length: 3 }, () => result.adjustmentId),
        );
        const [price] = await database.query("SELECT source FROM price WHERE price_id = 'better-price'");
        expect(price).toEqual({ source: "operator" });
      }));

    test("of everything leaves the exact cost by the new price in every report, and a second time changes nothing", () =>
      withDatabase(async ({ ledger, reader, adjust }) => {
        const span = { start: new Date("2026-10-31T20:00:00Z"), spanMs: 9 * 3_600_000 };
        const traffic = randomTraffic({ seed: 11, requests: 200, ...span });
        await Promise.all([
          ...traffic.outcomes.map(ledger.settle),
          ...traffic.requests.map((entry) => ledger.finish(entry)),
        ]);
        const result = await adjust({ scope: "all", requestId: "first" }, { pageSize: 17 });
        const rated = traffic.outcomes.map((outcome): AttemptOutcome => {
          if (!outcome.usage || outcome.intent.model === "of-no-price") return outcome;
          const billingState = outcome.billingState === "unpriced" ? "settled" : outcome.billingState;
          return { ...outcome, ...priceAttempt(outcome.usage, BETTER_PRICE), billingState };
        });
        const expected = { ...traffic, outcomes: rated };
        const queries = [
          costQuery({ groupBy: ["api_key", "provider", "model", "hour"] }),
          costQuery({ groupBy: ["tag"], tagKey: "team" }),
          costQuery({ start: new Date("2026-10-31T21:17:00Z"), end: new Date("2026-11-01T02:03:04Z") }),
        ];
        for (const query of queries)
          expect(flatten(await reader.query(query))).toEqual(expectedReport(expected, query));
        expect(result.costAfterPicoUsd).toBe(
          rated.reduce((sum, { usage, costPicoUsd = 0n }) => sum + (usage ? costPicoUsd : 0n), 0n),
        );
        expect(await adjust({ scope: "all", requestId: "first" })).toEqual(result);
        expect(await adjust({ scope: "all", requestId: "second" })).toMatchObject({ adjusted: 0n });
      }));

    test("goes on where the deadline ended it, by the same request id", () =>
      withDatabase(async ({ ledger, adjust, records, adjusted }) => {
        const outcomes = Array.from({ length: 25 }, () => unpriced());
        await Promise.all(outcomes.map(ledger.settle));
        const over = { pageSize: 10, deadlineAtMs: 0 };
        const request = { scope: "unpriced", requestId: "slow" } as const;
        expect(await adjust(request, over)).toMatchObject({ complete: false, adjusted: 10n });
        expect(await adjust(request, over)).toMatchObject({ complete: false, adjusted: 20n });
        expect(await records()).toHaveLength(25 + 40);
        const result = await adjust(request);
        expect(result).toMatchObject({ complete: true, examined: 25n, adjusted: 25n });
        expect(adjusted.map((event) => event.result.complete)).toEqual([false, false, true]);
        await expect(adjust({ ...request, reason: "another" })).rejects.toMatchObject({
          reason: "ALREADY_EXISTS",
        });
      }));

    test("by two calls with one request id at once adjusts everything once", () =>
      withDatabase(async ({ ledger, adjust, records }) => {
        await Promise.all(Array.from({ length: 30 }, () => ledger.settle(unpriced())));
        const request = { scope: "unpriced", requestId: "both" } as const;
        const [one, other] = await Promise.all([
          adjust(request, { pageSize: 4 }),
          adjust(request, { pageSize: 4 }),
        ]);
        expect(one).toEqual(other);
        expect(one).toMatchObject({ examined: 30n, adjusted: 30n, complete: true });
        expect(await records()).toHaveLength(90);
      }));

    test("at an explicit price concerns its model only, and keeps the price with its source", () =>
      withDatabase(async ({ database, ledger, adjust, query }) => {
        await Promise.all([unpriced({ model: "x" }), unpriced({ model: "y" })].map(ledger.settle));
        const source = {
          ...{ kind: "explicit" as const, provider: "openai", model: "x", name: "invoice 2026-10" },
          unitPrices: SAMPLE_UNIT_PRICES,
        } as const;
        const result = await adjust({ scope: "all", source });
        expect(result).toMatchObject({ examined: 1n, adjusted: 1n, costAfterPicoUsd: 116_000_000n });
        const [price] = await database.query("SELECT source, model FROM price WHERE price_id = $1", [
          result.priceIds[0] ?? "",
        ]);
        expect(price).toEqual({ source: "invoice 2026-10", model: "x" });
        expect((await query()).totals.coverage.unpricedAttempts).toBe(1n);
        const filter = { ...WHOLE_YEAR, models: ["y"] };
        await expect(adjust({ source, filter })).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
      }));

    test("as a dry run says what it would do and does nothing", () =>
      withDatabase(async ({ database, ledger, adjust, records }) => {
        await ledger.settle(unpriced());
        const dry = await adjust({ dryRun: true, requestId: "r" });
        expect(dry).toMatchObject({ adjustmentId: undefined, adjusted: 1n, complete: true });
        expect(await records()).toHaveLength(1);
        expect(await database.query("SELECT 1 FROM cost_adjustment")).toEqual([]);
        const real = await adjust({ requestId: "r" });
        expect({ ...real, adjustmentId: undefined }).toEqual(dry);
      }));

    test("is audited in tables that nobody can change", () =>
      withDatabase(async ({ database, ledger, adjust }) => {
        await ledger.settle(unpriced());
        await adjust({ reason: "the list\0 lacked it", requestId: "r" });
        const [audit] = await database.query(
          "SELECT api_key_id, request_id, reason, scope, filter ->> 'start' AS start FROM cost_adjustment",
        );
        expect(audit).toEqual({
          ...{ api_key_id: "admin", request_id: "r", reason: "the list lacked it", scope: "unpriced" },
          start: WHOLE_YEAR.start.toISOString(),
        });
        for (const table of ["cost_adjustment", "cost_adjustment_step"]) {
          for (const change of [
            `UPDATE ${table} SET recorded_at = now()`,
            `DELETE FROM ${table}`,
            `TRUNCATE ${table}`,
          ])
            await expect(database.query(change), change).rejects.toThrow("append-only");
        }
      }));
  });
}

type Parts = ReturnType<typeof createParts>;

function createParts(database: Database) {
  const reader: CostReader = createCostReader(database);
  const adjusted: CostsAdjusted[] = [];
  return {
    database,
    reader,
    adjusted,
    ledger: createDatabaseLedger(database),
    query: (asOf?: Date) => reader.query(costQuery({ asOf })),
    /** All entries, each attempt's in the order of its corrections. */
    async records(): Promise<readonly CostRecord[]> {
      const page = await reader.listRecords({ filter: WHOLE_YEAR, pageSize: 1_000, pageToken: undefined });
      const rank = ({ revision, kind }: CostRecord) => revision * 2 + (kind === "adjustment" ? 1 : 0);
      return page.records.toSorted((a, b) => rank(a) - rank(b));
    },
    adjust(
      changes: Partial<AdjustmentRequest> = {},
      { pageSize, deadlineAtMs = Number.MAX_SAFE_INTEGER }: { pageSize?: number; deadlineAtMs?: number } = {},
    ) {
      const adjuster = createCostAdjuster({
        store: createAdjustmentStore(database),
        prices: { find: ({ model }) => (model === "of-no-price" ? undefined : BETTER_PRICE) },
        clock: { monotonicMs: () => performance.now() },
        onAdjusted: (event) => adjusted.push(event),
        ...(pageSize === undefined ? {} : { pageSize }),
      });
      const request: AdjustmentRequest = {
        ...{ requestId: undefined, reason: "the price list was wrong", filter: WHOLE_YEAR },
        ...{ scope: "unpriced", source: { kind: "price_book" }, dryRun: false, ...changes },
      };
      return adjuster.adjust(ADMIN, request, {
        deadlineAtMs,
        signal: new AbortController().signal,
      });
    },
  };
}
