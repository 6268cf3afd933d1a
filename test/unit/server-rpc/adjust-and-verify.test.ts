import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";
import { AdjustmentScope, CostRecordKind, CostService } from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import type { AdjustmentRequest } from "../../../src/core/cost-adjustment.ts";
import type { VerifiedInterval } from "../../../src/core/ledger-check.ts";
import { costRecord } from "../../support/cost-samples.ts";
import { startRpcServer, type TestRpcServer } from "../../support/rpc-server.ts";

const START = new Date("2026-11-01T00:00:00Z");
const END = new Date("2026-12-01T00:00:00Z");
const admin = { headers: { authorization: "Bearer admin-secret" } };
const costs = { headers: { authorization: "Bearer costs-secret" } };

let server: TestRpcServer;
let client: Client<typeof CostService>;
let adjustments: { readonly actor: string; readonly request: AdjustmentRequest; readonly leftMs: number }[] =
  [];
let verifications: { readonly interval: VerifiedInterval; readonly timeoutMs: number }[] = [];

beforeAll(async () => {
  server = await startRpcServer({
    adjuster: {
      async adjust(actor, request, { deadlineAtMs }) {
        adjustments.push({ actor: actor.apiKeyId, request, leftMs: deadlineAtMs - performance.now() });
        return {
          ...{ adjustmentId: "a1", requestId: request.requestId ?? "made", complete: true, priceIds: ["p1"] },
          ...{ examined: 5n, adjusted: 3n, unchanged: 1n, stillUnpriced: 1n },
          ...{ costBeforePicoUsd: 2_000_000_000_000n, costAfterPicoUsd: 500_000_000_001n },
        };
      },
    },
    verifier: {
      async verify(interval, timeoutMs) {
        verifications.push({ interval, timeoutMs });
        return {
          ...{ ok: false, start: START, end: END },
          checks: [{ name: "record_arithmetic", compared: 9n, differing: 1n, noted: 2n }],
          differences: [{ check: "record_arithmetic", key: "k", expected: "e", found: "f" }],
        };
      },
    },
    costs: {
      listRecords: async () => ({
        records: [costRecord({ kind: "reversal", revision: 2, adjustmentId: "a1", costPicoUsd: -5n })],
        nextPageToken: undefined,
      }),
    },
  });
  client = createClient(CostService, createGrpcTransport({ baseUrl: server.http2Url }));
});
afterAll(() => server.close());
beforeEach(() => {
  adjustments = [];
  verifications = [];
});

const asked = {
  reason: "the list was wrong",
  filter: { startTime: timestampFromDate(START), endTime: timestampFromDate(END), models: ["gpt-5-mini"] },
  scope: AdjustmentScope.UNPRICED,
};
const unitPrices = {
  uncachedUsdPerMillion: "0.25",
  cacheReadUsdPerMillion: "0.025",
  cacheWriteUsdPerMillion: "0.25",
  textOutUsdPerMillion: "2",
  reasoningOutUsdPerMillion: "2",
};
const explicitPrice = { provider: "openai", model: "gpt-5-mini", source: "invoice", unitPrices };

async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw new Error("the call was not refused");
  const fields = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return { code: error.code, fields: fields.map(({ field }) => field) };
}

describe("AdjustCosts", () => {
  test("passes on who asks for what, and answers with counts and decimal strings", async () => {
    const answer = await client.adjustCosts({ ...asked, requestId: "r1" }, { ...admin, timeoutMs: 9_000 });
    expect(adjustments).toMatchObject([
      {
        actor: "admin",
        request: {
          ...{ requestId: "r1", reason: "the list was wrong", scope: "unpriced", dryRun: false },
          ...{ source: { kind: "price_book" }, filter: { start: START, end: END, models: ["gpt-5-mini"] } },
        },
      },
    ]);
    expect(adjustments[0]?.leftMs).toBeLessThan(9_000);
    expect(answer).toMatchObject({
      ...{ adjustmentId: "a1", requestId: "r1", complete: true, priceIds: ["p1"] },
      ...{ examined: 5n, adjusted: 3n, unchanged: 1n, stillUnpriced: 1n },
      ...{ costBeforeUsd: "2.000000000000", costAfterUsd: "0.500000000001", costDeltaUsd: "-1.499999999999" },
    });
  });

  test("takes an explicit price, exactly", async () => {
    await client.adjustCosts({ ...asked, explicitPrice, scope: AdjustmentScope.ALL, dryRun: true }, admin);
    expect(adjustments[0]?.request).toMatchObject({
      ...{ requestId: undefined, scope: "all", dryRun: true },
      source: {
        ...{ kind: "explicit", provider: "openai", model: "gpt-5-mini", name: "invoice" },
        unitPrices: { uncachedPicoUsdPerToken: 250_000n, textOutPicoUsdPerToken: 2_000_000n },
      },
    });
  });

  test("is for administrators only", async () => {
    for (const secret of ["invoke-secret", "costs-secret", "keys-secret"]) {
      const headers = { authorization: `Bearer ${secret}` };
      expect(await refusal(client.adjustCosts(asked, { headers }))).toMatchObject({
        code: Code.PermissionDenied,
      });
    }
    expect(adjustments).toEqual([]);
  });

  test("refuses what it cannot do, with the field at fault", async () => {
    const { filter } = asked;
    const prices = (change: Partial<typeof unitPrices>) => ({
      explicitPrice: { ...explicitPrice, unitPrices: { ...unitPrices, ...change } },
    });
    const refused: readonly (readonly [object, string])[] = [
      [{ reason: "" }, "reason"],
      [{ reason: "x".repeat(1_001) }, "reason"],
      [{ scope: AdjustmentScope.UNSPECIFIED }, "scope"],
      [{ filter: undefined }, "filter"],
      [{ filter: { ...filter, startTime: undefined } }, "filter.start_time"],
      [{ filter: { ...filter, endTime: undefined } }, "filter.end_time"],
      [{ filter: { ...filter, asOf: timestampFromDate(START) } }, "filter.as_of"],
      [{ requestId: "with space" }, "request_id"],
      [{ explicitPrice: { ...explicitPrice, unitPrices: undefined } }, "explicit_price.unit_prices"],
      [prices({ cacheReadUsdPerMillion: "" }), "explicit_price.unit_prices.cache_read_usd_per_million"],
      [prices({ textOutUsdPerMillion: "-1" }), "explicit_price.unit_prices.text_out_usd_per_million"],
      [prices({ textOutUsdPerMillion: "0.1234567" }), "explicit_price.unit_prices.text_out_usd_per_million"],
    ];
    for (const [change, field] of refused) {
      const { code, fields } = await refusal(client.adjustCosts({ ...asked, ...change }, admin));
      expect(code, field).toBe(Code.InvalidArgument);
      expect(fields, field).toEqual([field]);
    }
    expect(adjustments).toEqual([]);
  });
});

describe("VerifyLedger", () => {
  test("checks everything by default, and answers with what differs", async () => {
    const answer = await client.verifyLedger({}, { ...costs, timeoutMs: 20_000 });
    expect(verifications).toMatchObject([{ interval: { start: undefined, end: undefined } }]);
    expect(verifications[0]?.timeoutMs).toBeGreaterThan(15_000);
    expect(verifications[0]?.timeoutMs).toBeLessThanOrEqual(20_000);
    expect(answer).toMatchObject({
      ok: false,
      checks: [{ name: "record_arithmetic", compared: 9n, differing: 1n, noted: 2n }],
      differences: [{ check: "record_arithmetic", key: "k", expected: "e", found: "f" }],
      startTime: timestampFromDate(START),
    });
  });

  test("refuses an interval that is empty", async () => {
    const interval = { startTime: timestampFromDate(END), endTime: timestampFromDate(START) };
    expect(await refusal(client.verifyLedger(interval, admin))).toEqual({
      code: Code.InvalidArgument,
      fields: ["start_time"],
    });
  });
});

test("a reversal is listed with its number, its adjustment and a negative cost", async () => {
  const { records } = await client.listCostRecords({}, admin);
  expect(records).toMatchObject([
    {
      ...{ kind: CostRecordKind.REVERSAL, revision: 2, adjustmentId: "a1" },
      cost: { costUsd: "-0.000000000005" },
    },
  ]);
});
