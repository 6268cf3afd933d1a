import { randomUUID } from "node:crypto";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { BadRequestSchema } from "../../gen/es/google/rpc/error_details_pb.ts";
import { KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import {
  type CostAmounts,
  CostDimension,
  type CostRecord,
  CostRecordKind,
  CostService,
} from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { drain, failureOf } from "../support/clients/gateway-client.ts";
import { billedPicoUsd, CHAIN, directive, FALLBACK_MODEL, usd } from "../support/gateway-under-test.ts";
import { type ClientSuite, uniquePrompt } from "./client-suite.ts";

const { costQuery, listCostRecords } = CostService.method;

/** USD with twelve places as picodollars. */
function picoUsd(text: string | undefined): bigint {
  if (!/^\d+\.\d{12}$/.test(text ?? "")) throw new Error(`not money: ${text}`);
  return BigInt((text ?? "").replace(".", ""));
}

function sum<T>(items: readonly T[], amount: (item: T) => bigint): bigint {
  return items.reduce((total, item) => total + amount(item), 0n);
}

/** Costs: reports and records agree with each other and with the simulator's bill. */
export function describeCosts(suite: ClientSuite): void {
  /** Traffic of a new key over two providers: a stream, a fallback, and a failure that cost nothing. */
  async function makeTraffic() {
    const key = await suite.gateway.createKey({ tags: { team: "search" } });
    const text = uniquePrompt();
    const options = { key: key.secret };
    await suite.complete(text, { tags: { run: "one" }, endUser: "user-1" }, options);
    await suite.complete(`${text} ${directive("openai", { tokensOut: 31 })}`, {}, options);
    await drain(suite.stream(`${text} streamed`, { model: FALLBACK_MODEL, tags: { run: "one" } }, options));
    // A failure that cost nothing hardly waits for the ledger; who answers after it has waited for both.
    await failureOf(suite.complete(`${text} ${directive("openai", { status: 400 })}`, {}, options));
    await suite.complete(`${text} ${directive("openai", { status: 401 })}`, { model: CHAIN }, options);
    const lines = await suite.gateway.billOf(text);
    expect(lines.filter(({ state }) => state === "completed")).toHaveLength(4);
    expect(lines.filter(({ state }) => state === "refused")).toHaveLength(2);
    return { key, lines };
  }

  function expectAmounts(
    amounts: CostAmounts | undefined,
    lines: Awaited<ReturnType<typeof makeTraffic>>["lines"],
  ) {
    expect(amounts).toMatchObject({
      attempts: BigInt(lines.length),
      tokensIn: sum(lines, ({ tokensIn }) => BigInt(tokensIn)),
      tokensOut: sum(lines, ({ tokensOut }) => BigInt(tokensOut)),
      costUsd: usd(billedPicoUsd(lines)),
    });
  }

  describe("costs", () => {
    it("sums by provider, model and day; totals, rows and the provider's bill agree to the picodollar", async () => {
      const { key, lines } = await makeTraffic();
      const groupBy = [CostDimension.PROVIDER, CostDimension.MODEL, CostDimension.DAY];
      const { message } = await suite.client.unary(costQuery, { groupBy }, { key: key.secret });
      expectAmounts(message.totals, lines);
      expect(message.totals?.requests).toBe(5n);
      expect(message.rows.map(({ provider, model }) => `${provider}/${model}`)).toEqual([
        "deepseek/sim-model",
        "openai/sim-model",
      ]);
      for (const row of message.rows) {
        expectAmounts(
          row.amounts,
          lines.filter(({ personality }) => personality === row.provider),
        );
        expect(row.periodStart && timestampDate(row.periodStart).toISOString()).toMatch(/T00:00:00\.000Z$/);
      }
      expect(sum(message.rows, ({ amounts }) => picoUsd(amounts?.costUsd))).toBe(
        picoUsd(message.totals?.costUsd),
      );
      expect(message.totals?.coverage).toMatchObject({
        reported: { attempts: 4n, costUsd: message.totals?.costUsd },
        notBilled: { attempts: 2n, costUsd: usd(0n) },
        estimated: { attempts: 0n },
        unpriced: { attempts: 0n },
        unknown: { attempts: 0n },
      });

      const asOf = message.asOf;
      const interval = { startTime: message.startTime, endTime: message.endTime };
      await suite.complete(uniquePrompt(), {}, { key: key.secret });
      const repeated = { groupBy, filter: { ...interval, ...(asOf ? { asOf } : {}) } };
      const again = await suite.client.unary(costQuery, repeated, { key: key.secret });
      expect(again.message).toEqual(message);
    });

    it("filters and groups by tag and end user", async () => {
      const { key } = await makeTraffic();
      const options = { key: key.secret };
      const byRun = await suite.client.unary(
        costQuery,
        { groupBy: [CostDimension.TAG], tagKey: "run" },
        options,
      );
      expect(byRun.message.rows).toMatchObject([
        { tagValue: "", amounts: { requests: 3n, attempts: 4n } },
        { tagValue: "one", amounts: { requests: 2n, attempts: 2n } },
      ]);
      const filter = { tags: { team: "search", run: "one" }, endUsers: ["user-1"] };
      const one = await suite.client.unary(costQuery, { filter }, options);
      expect(one.message.totals).toMatchObject({ requests: 1n, attempts: 1n });
      expect(one.message.rows).toEqual([]);
    });

    it("lists the records behind the sums in pages, newest first, none twice and none missing", async () => {
      const { key, lines } = await makeTraffic();
      const options = { key: key.secret };
      const { message: first } = await suite.client.unary(listCostRecords, { pageSize: 2 }, options);
      const records: CostRecord[] = [...first.records];
      const pages = [first.records.length];
      for (let token = first.nextPageToken; token !== ""; ) {
        const { message } = await suite.client.unary(
          listCostRecords,
          { pageSize: 2, pageToken: token },
          options,
        );
        records.push(...message.records);
        pages.push(message.records.length);
        token = message.nextPageToken;
      }
      expect(pages).toEqual([2, 2, 2]);
      expect(new Set(records.map(({ attemptId }) => attemptId)).size).toBe(lines.length);
      const times = records.map(({ occurredAt }) => (occurredAt ? timestampDate(occurredAt).getTime() : 0));
      expect(times).toEqual(times.toSorted((a, b) => b - a));
      expect(sum(records, ({ cost }) => picoUsd(cost?.costUsd))).toBe(billedPicoUsd(lines));
      expect(sum(records, ({ usage }) => usage?.tokensIn ?? 0n)).toBe(
        sum(lines, ({ tokensIn }) => BigInt(tokensIn)),
      );
      expect(
        records.every(({ apiKeyId, kind }) => apiKeyId === key.apiKeyId && kind === CostRecordKind.CHARGE),
      ).toBe(true);
      expect(records.filter(({ billingState }) => billingState === BillingState.NOT_BILLED)).toHaveLength(2);
      expect(records.at(-1)).toMatchObject({
        tags: { team: "search", run: "one" },
        endUser: "user-1",
        unitPrices: { uncachedUsdPerMillion: "1.000001", textOutUsdPerMillion: "4.000009" },
      });

      const filter = { providers: ["openai"] };
      const changed = suite.client.unary(
        listCostRecords,
        { filter, pageSize: 2, pageToken: first.nextPageToken },
        options,
      );
      expect(await failureOf(changed)).toMatchObject({ code: "invalid_argument", reason: "INVALID_REQUEST" });
    });

    it("refuses page sizes, tokens and intervals that make no sense", async () => {
      const options = { key: suite.key };
      const fields = async (call: Promise<unknown>) => {
        const failure = await failureOf(call);
        expect(failure).toMatchObject({ code: "invalid_argument", reason: "INVALID_REQUEST" });
        return failure.find(BadRequestSchema)?.fieldViolations.map(({ field }) => field);
      };
      const list = (request: object) => suite.client.unary(listCostRecords, request, options);
      expect(await fields(list({ pageSize: -1 }))).toEqual(["page_size"]);
      await fields(list({ pageToken: "of another list" }));
      const now = timestampFromDate(new Date());
      const query = { filter: { startTime: now, endTime: now }, groupBy: [CostDimension.TAG] };
      expect(await fields(suite.client.unary(costQuery, query, options))).toEqual(["tag_key"]);
      const interval = { filter: { startTime: now, endTime: now } };
      expect(await fields(suite.client.unary(costQuery, interval, options))).toEqual(["filter.start_time"]);
    });

    it("shows a key its own costs only, and one with the role the costs of all", async () => {
      const { key } = await makeTraffic();
      const other = await suite.gateway.createKey();
      const empty = await suite.client.unary(costQuery, {}, { key: other.secret });
      expect(empty.message.totals).toMatchObject({ requests: 0n, attempts: 0n, costUsd: usd(0n) });
      const filter = { apiKeyIds: [key.apiKeyId] };
      const refused = await failureOf(suite.client.unary(costQuery, { filter }, { key: other.secret }));
      expect(refused).toMatchObject({ code: "permission_denied", reason: "PERMISSION_DENIED" });

      const finance = await suite.gateway.createKey({ roles: [KeyRole.READ_COSTS] });
      const seen = await suite.client.unary(
        costQuery,
        { filter, groupBy: [CostDimension.API_KEY] },
        { key: finance.secret },
      );
      expect(seen.message.rows).toMatchObject([{ apiKeyId: key.apiKeyId, amounts: { requests: 5n } }]);
    });

    it("says openly what has no price", async () => {
      const key = await suite.gateway.createKey();
      const model = `openai/unpriced-${randomUUID()}`;
      const { message } = await suite.complete(uniquePrompt(), { model }, { key: key.secret });
      expect(message.cost).toMatchObject({ unpriced: true, priceId: "" });
      expect(message.cost?.costUsd).toBeUndefined();
      expect(message.attempts[0]?.billingState).toBe(BillingState.UNPRICED);
      const report = await suite.client.unary(costQuery, {}, { key: key.secret });
      expect(report.message.totals?.coverage?.unpriced).toMatchObject({ attempts: 1n });
      expect(report.message.totals?.tokensOut).toBe(16n);
    });
  });
}
