import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AdjustmentScope, CostRecordKind } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { createGatewayClients } from "../support/completion-client.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";

/** The simulator answers for any model; only those of the configuration have a price. */
const UNPRICED_MODEL = "openai/model-without-price";

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await startGatewayUnderTest();
});
afterAll(() => gateway.stop());

test("what was unpriced when it was answered is priced by the administrator, in every report, with a trace of who", async () => {
  const clients = createGatewayClients(gateway.url);
  const costs = clients.costs(ADMIN_KEY);
  const calls = ["one", "two", "three"].map((text, index) =>
    clients.complete({
      ...{ kind: "unary", requestId: `request-${index}`, text, model: UNPRICED_MODEL, secret: ADMIN_KEY },
    }),
  );
  for (const { reason } of await Promise.all(calls)) expect(reason).toBeUndefined();
  const before = await costs.costQuery({});
  expect(before.totals).toMatchObject({ costUsd: "0.000000000000", attempts: 3n });
  expect(before.totals?.coverage?.unpriced?.attempts).toBe(3n);

  const now = Date.now();
  const request = {
    requestId: "adjust-1",
    reason: "the provider published the price later",
    filter: {
      startTime: timestampFromDate(new Date(now - 3_600_000)),
      endTime: timestampFromDate(new Date(now + 3_600_000)),
    },
    scope: AdjustmentScope.UNPRICED,
    explicitPrice: {
      ...{ provider: "openai", model: "model-without-price", source: "mail of the provider" },
      unitPrices: {
        ...{ uncachedUsdPerMillion: "1", cacheReadUsdPerMillion: "1", cacheWriteUsdPerMillion: "1" },
        ...{ textOutUsdPerMillion: "2.000001", reasoningOutUsdPerMillion: "2.000001" },
      },
    },
  };
  const tokensIn = before.totals?.tokensIn ?? 0n;
  const tokensOut = before.totals?.tokensOut ?? 0n;
  const picoUsd = tokensIn * 1_000_000n + tokensOut * 2_000_001n;
  const costUsd = `0.${picoUsd.toString().padStart(12, "0")}`;
  const dry = await costs.adjustCosts({ ...request, dryRun: true });
  expect(dry).toMatchObject({ adjusted: 3n, costAfterUsd: costUsd, adjustmentId: "" });
  const made = await costs.adjustCosts(request);
  expect(made).toMatchObject({ complete: true, adjusted: 3n, costDeltaUsd: costUsd, requestId: "adjust-1" });
  expect(await costs.adjustCosts(request)).toEqual(made);

  const after = await costs.costQuery({});
  expect(after.totals).toMatchObject({ costUsd, attempts: 3n, requests: 3n, tokensIn, tokensOut });
  expect(after.totals?.coverage?.unpriced?.attempts).toBe(0n);
  const again = await costs.costQuery({ filter: { asOf: before.asOf } });
  expect(again.totals).toEqual(before.totals);

  const { records } = await costs.listCostRecords({});
  expect(records).toHaveLength(9);
  const adjustments = records.filter(({ kind }) => kind === CostRecordKind.ADJUSTMENT);
  expect(new Set(adjustments.map(({ adjustmentId }) => adjustmentId))).toEqual(new Set([made.adjustmentId]));
  for (const { billingState, cost } of adjustments) {
    expect(billingState).toBe(BillingState.SETTLED);
    expect(cost?.priceId).toBe(made.priceIds[0]);
  }
  const lines = gateway.process.output().split("\n");
  const line = lines.filter((text) => text.includes(`"adjustment_id":"${made.adjustmentId}"`))[0] ?? "{}";
  expect(JSON.parse(line)).toMatchObject({
    ...{ event: "costs_adjusted", api_key_id: "admin", request_id: "adjust-1", adjusted: "3" },
    cost_after_usd: costUsd,
  });
  expect(line).not.toContain("published");
  const { ok, differences } = await costs.verifyLedger({});
  expect(differences).toEqual([]);
  expect(ok).toBe(true);
});
