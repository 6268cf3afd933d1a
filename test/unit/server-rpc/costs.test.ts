import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";
import { CostDimension, CostRecordKind, CostService } from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import { BillingState, UsageSource } from "../../../gen/es/llmgateway/v1/usage_pb.ts";
import type { CostFilter, CostQuery } from "../../../src/core/ledger.ts";
import { costAmounts, costRecord } from "../../support/cost-samples.ts";
import { startRpcServer, type TestRpcServer } from "../../support/rpc-server.ts";

const AS_OF = new Date("2026-11-23T12:00:00Z");
const invoke = { headers: { authorization: "Bearer invoke-secret" } };
const costs = { headers: { authorization: "Bearer costs-secret" } };

let server: TestRpcServer;
let client: Client<typeof CostService>;
let queries: CostQuery[] = [];
let listings: { filter: CostFilter; pageSize: number; pageToken: string | undefined }[] = [];

beforeAll(async () => {
  server = await startRpcServer({
    costs: {
      async query(query) {
        queries.push(query);
        const key = query.groupBy.map((dimension) =>
          dimension === "day" ? "2026-11-01T00:00:00.000Z" : `a ${dimension}`,
        );
        return { rows: [{ key, ...costAmounts() }], totals: costAmounts(), asOf: AS_OF };
      },
      async listRecords(request) {
        listings.push(request);
        return { records: [costRecord()], nextPageToken: request.pageToken ? undefined : "next" };
      },
    },
  });
  client = createClient(CostService, createGrpcTransport({ baseUrl: server.http2Url }));
});
afterAll(() => server.close());
beforeEach(() => {
  queries = [];
  listings = [];
});

async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw new Error("the call was not refused");
  const fields = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return { code: error.code, fields: fields.map(({ field }) => field) };
}

describe("CostQuery", () => {
  test("gives each dimension its place, and coverage shares that add up to the whole", async () => {
    const start = new Date("2026-11-01T00:00:00Z");
    const end = new Date("2026-12-01T00:00:00Z");
    const answer = await client.costQuery(
      {
        filter: {
          startTime: timestampFromDate(start),
          endTime: timestampFromDate(end),
          tags: { stage: "prod" },
        },
        groupBy: [CostDimension.PROVIDER, CostDimension.TAG, CostDimension.DAY, CostDimension.API_KEY],
        tagKey: "team",
      },
      costs,
    );
    expect(queries).toMatchObject([
      { start, end, groupBy: ["provider", "tag", "day", "api_key"], tagKey: "team", tags: { stage: "prod" } },
    ]);
    expect(answer.rows).toMatchObject([
      { provider: "a provider", tagValue: "a tag", apiKeyId: "a api_key", model: "", endUser: "" },
    ]);
    expect(answer.rows[0]?.periodStart).toMatchObject({ seconds: 1_793_491_200n });
    expect(answer.totals).toMatchObject({ requests: 3n, tokensIn: 1000n, costUsd: "5.000000000000" });
    expect(answer.totals?.coverage).toMatchObject({
      reported: { attempts: 4n, tokens: 1150n, costUsd: "3.500000000000" },
      estimated: { attempts: 3n, tokens: 200n, costUsd: "1.000000000000" },
      unpriced: { attempts: 1n, tokens: 100n, costUsd: "0.000000000000" },
      notBilled: { attempts: 1n, tokens: 0n, costUsd: "0.000000000000" },
      unknown: { attempts: 1n, tokens: 50n, costUsd: "0.500000000000" },
    });
    expect(answer.asOf).toMatchObject(timestampFromDate(AS_OF));
    expect(answer.startTime).toMatchObject(timestampFromDate(start));
  });

  test("covers the last 30 days when no interval is given", async () => {
    await client.costQuery({}, costs);
    const [query] = queries;
    expect(Math.abs((query?.end.getTime() ?? 0) - Date.now())).toBeLessThan(5000);
    expect((query?.end.getTime() ?? 0) - (query?.start.getTime() ?? 0)).toBe(30 * 86_400_000);
    expect(query).toMatchObject({ groupBy: [], tagKey: undefined, apiKeyIds: [], asOf: undefined });
  });

  test("shows a key without read_costs only its own", async () => {
    await client.costQuery({}, invoke);
    await client.costQuery({ filter: { apiKeyIds: ["k_invoke"] } }, invoke);
    expect(queries.map(({ apiKeyIds }) => apiKeyIds)).toEqual([["k_invoke"], ["k_invoke"]]);
    const { code } = await refusal(
      client.costQuery({ filter: { apiKeyIds: ["k_invoke", "k_other"] } }, invoke),
    );
    expect(code).toBe(Code.PermissionDenied);
    expect(queries).toHaveLength(2);
  });

  test("hands texts that look like SQL or patterns on as they are", async () => {
    const text = "%' OR 1=1; DROP TABLE cost_record; --_";
    const filter = { providers: [text], models: [text], tags: { team: text }, endUsers: [text] };
    await client.costQuery({ filter }, costs);
    expect(queries[0]).toMatchObject(filter);
  });

  test("refuses dimensions that do not fit together, and empty intervals", async () => {
    const at = timestampFromDate(AS_OF);
    const refused = async (request: Parameters<typeof client.costQuery>[0]) => {
      const { code, fields } = await refusal(client.costQuery(request, costs));
      expect(code).toBe(Code.InvalidArgument);
      return fields;
    };
    expect(await refused({ groupBy: [CostDimension.DAY, CostDimension.HOUR] })).toEqual(["group_by"]);
    expect(await refused({ groupBy: [CostDimension.TAG] })).toEqual(["tag_key"]);
    expect(await refused({ tagKey: "team" })).toEqual(["tag_key"]);
    expect(await refused({ groupBy: [CostDimension.UNSPECIFIED] })).toEqual(["group_by[0]"]);
    expect(await refused({ groupBy: [CostDimension.DAY, CostDimension.DAY] })).toEqual(["group_by"]);
    expect(await refused({ filter: { startTime: at, endTime: at } })).toEqual(["filter.start_time"]);
    expect(await refused({ filter: { endTime: { seconds: 10n ** 15n, nanos: 0 } } })).toHaveLength(1);
    expect(queries).toEqual([]);
  });
});

describe("ListCostRecords", () => {
  test("gives the stored record, and pages on", async () => {
    const first = await client.listCostRecords({ pageSize: 2 }, costs);
    expect(first.nextPageToken).not.toBe("");
    expect(first.records[0]).toMatchObject({
      attemptId: "a1",
      kind: CostRecordKind.CHARGE,
      billingState: BillingState.SETTLED,
      usage: { tokensIn: 12n, cacheReadTokensIn: 2n, source: UsageSource.REPORTED },
      cost: { costUsd: "0.000123450000", priceId: "price-1", estimated: false, unpriced: false },
      unitPrices: { uncachedUsdPerMillion: "0.150000", textOutUsdPerMillion: "0.600000" },
      tags: { team: "search" },
      latency: { seconds: 1n, nanos: 234_500_000 },
      occurredAt: { seconds: 1_793_527_200n, nanos: 500_000_000 },
    });
    expect(first.records[0]?.usage?.cacheWriteTokensIn).toBeUndefined();
    const second = await client.listCostRecords({ pageSize: 2, pageToken: first.nextPageToken }, costs);
    expect(second.nextPageToken).toBe("");
    // The interval has no end of its own: the second page ends where the first did.
    expect(listings[1]?.filter).toEqual(listings[0]?.filter);
    // An interval without an end ends where it did for the first page, however much later the next one is asked for.
    expect(listings[1]?.filter).toEqual(listings[0]?.filter);
    expect(listings.map(({ pageSize, pageToken }) => [pageSize, pageToken])).toEqual([
      [2, undefined],
      [2, "next"],
    ]);
  });

  test.each(["next", ".next", "zzzzzzzzzzz.next", "abc.", "a b.next"])(
    "refuses %j, which is no page token",
    async (pageToken) => {
      expect(await refusal(client.listCostRecords({ pageToken }, costs))).toEqual({
        code: Code.InvalidArgument,
        fields: ["page_token"],
      });
    },
  );

  test("coerces page sizes, refuses negative ones, and stays within the key's own", async () => {
    await client.listCostRecords({}, invoke);
    await client.listCostRecords({ pageSize: 100_000 }, invoke);
    expect(listings.map(({ pageSize, filter }) => [pageSize, filter.apiKeyIds])).toEqual([
      [100, ["k_invoke"]],
      [1000, ["k_invoke"]],
    ]);
    expect(await refusal(client.listCostRecords({ pageSize: -1 }, invoke))).toEqual({
      code: Code.InvalidArgument,
      fields: ["page_size"],
    });
    const foreign = client.listCostRecords({ filter: { apiKeyIds: ["k_other"] } }, invoke);
    expect((await refusal(foreign)).code).toBe(Code.PermissionDenied);
  });
});

describe("GET /v1/costs", () => {
  const get = async (path: string, secret = "costs-secret") => {
    const response = await fetch(server.http1Url + path, { headers: { authorization: `Bearer ${secret}` } });
    return { response, body: await response.text() };
  };

  test("sums by key, provider and model, all as of one instant", async () => {
    const { response, body } = await get(
      "/v1/costs?start=2026-11-01T00:00:00Z&end=2026-12-01T00:00:00%2B01:00&provider=openai&provider=deepseek&tag.team=search",
    );
    expect(response.status).toBe(200);
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    const report = JSON.parse(body) as Record<string, unknown>;
    const sums = { requests: 3, attempts: 10, tokens_in: 1000, tokens_out: 500, cost_usd: "5.000000000000" };
    expect(report).toMatchObject({
      start: "2026-11-01T00:00:00.000Z",
      end: "2026-11-30T23:00:00.000Z",
      as_of: AS_OF.toISOString(),
      by_api_key: [{ api_key_id: "a api_key", ...sums }],
      by_provider: [{ provider: "a provider", ...sums }],
      by_model: [{ provider: "a provider", model: "a model", ...sums }],
      totals: sums,
      coverage: { reported: { attempts: 4, tokens: 1150, cost_usd: "3.500000000000" } },
    });
    expect(queries.map(({ asOf }) => asOf)).toEqual([undefined, AS_OF, AS_OF]);
    expect(queries[0]).toMatchObject({ providers: ["openai", "deepseek"], tags: { team: "search" } });
  });

  test("adds the groupings that are asked for", async () => {
    const { body } = await get("/v1/costs?group_by=day&group_by=tag.team&group_by=end_user");
    expect(JSON.parse(body)).toMatchObject({
      by_day: [{ period_start: "2026-11-01T00:00:00.000Z", cost_usd: "5.000000000000" }],
      by_tag: { team: [{ tag_value: "a tag" }] },
      by_end_user: [{ end_user: "a end_user" }],
    });
  });

  test("refuses what it does not know, all at once, with the JSON error of these routes", async () => {
    const { response, body } = await get(
      "/v1/costs?start=yesterday&end=2026-02-31T00:00:00Z&colour=red&group_by=moon&page_size=1&tag.a%20b=c",
    );
    expect(response.status).toBe(400);
    const { error } = JSON.parse(body) as { error: { field_violations: { field: string }[] } };
    expect(error).toMatchObject({
      reason: "INVALID_REQUEST",
      code: "invalid_argument",
      request_id: response.headers.get("x-request-id"),
    });
    expect(error.field_violations.map(({ field }) => field).sort()).toEqual(
      ["colour", "end", "group_by", "page_size", "start", "tag.a b"].sort(),
    );
    for (const path of [
      "/v1/costs?model=%ff",
      "/v1/costs?start=2027-01-01T00:00:00Z&end=2026-01-01T00:00:00Z",
    ])
      expect((await get(path)).response.status).toBe(400);
    expect(queries).toEqual([]);
  });

  test("asks for the same keys and roles as the RPCs", async () => {
    expect((await get("/v1/costs", "nobody")).response.status).toBe(401);
    expect((await get("/v1/costs", "keys-secret")).response.status).toBe(403);
    expect((await get("/v1/costs?api_key_id=k_other", "invoke-secret")).response.status).toBe(403);
    expect((await get("/v1/costs", "invoke-secret")).response.status).toBe(200);
    expect(queries[0]?.apiKeyIds).toEqual(["k_invoke"]);
    const posted = await fetch(`${server.http1Url}/v1/costs`, { method: "POST" });
    expect(posted.status).toBe(405);
  });

  test("lists records with what is unknown as null", async () => {
    const { body } = await get("/v1/costs/records?page_size=5&model=gpt-5-mini");
    expect(JSON.parse(body)).toMatchObject({
      records: [
        {
          attempt_id: "a1",
          tokens_in: 12,
          cache_write_tokens_in: null,
          cost_usd: "0.000123450000",
          unit_prices_usd_per_million: { text_out: "0.600000" },
          end_user: null,
          occurred_at: "2026-11-01T10:00:00.500Z",
        },
      ],
    });
    const { next_page_token: pageToken, end } = JSON.parse(body);
    const next = await get(`/v1/costs/records?page_size=5&model=gpt-5-mini&page_token=${pageToken}`);
    expect(JSON.parse(next.body)).toMatchObject({ end, next_page_token: "" });
    expect(listings[0]).toMatchObject({ pageSize: 5, filter: { models: ["gpt-5-mini"] } });
    expect((await get("/v1/costs/records?page_size=-1")).response.status).toBe(400);
    expect((await get("/v1/costs/records?group_by=day")).response.status).toBe(400);
  });
});
