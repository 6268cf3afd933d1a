import { afterAll, beforeAll, expect, test } from "vitest";
import { CostDimension } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { type FaultBench, startFaultBench } from "../support/fault-bench.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { expectLawL } from "../support/law-l.ts";

/** Elsewhere counters and the log of spend were advanced apart, and told different sums. */

let bench: FaultBench;

beforeAll(async () => {
  bench = await startFaultBench({ groups: { openai: { profile: "openai", count: 3 } } });
});
afterAll(() => bench.close());

async function metricByModel(): Promise<ReadonlyMap<string, string>> {
  const response = await fetch(`${bench.gateway.url}/metrics`);
  const series = /^llm_gateway_cost_total\{(?<labels>[^}]*)\} (?<usd>\S+)$/gm;
  const sums = new Map<string, number>();
  for (const { groups } of (await response.text()).matchAll(series)) {
    const [provider, model] = ["provider", "model"].map(
      (name) => new RegExp(`\\b${name}="([^"]*)"`).exec(groups?.labels ?? "")?.[1],
    );
    const key = `${provider}/${model}`;
    sums.set(key, (sums.get(key) ?? 0) + Number(groups?.usd));
  }
  // A counter is a float; to the picodollar it is exact far beyond what is spent here.
  return new Map([...sums].filter(([, usd]) => usd > 0).map(([key, usd]) => [key, usd.toFixed(12)]));
}

test("the cost metric and CostQuery tell the same picodollars, failures and cut streams included", async () => {
  const models = [bench.candidate(), bench.candidate(), bench.candidate()];
  for (const kind of CALL_KINDS) {
    for (const model of models) await bench.complete({ kind, model });
    const [first = "", second = ""] = models;
    await bench.complete({ kind, model: first, scripts: { openai: { status: 400 } } });
    await bench.complete({ kind, model: second, scripts: { openai: { cutAfterTokens: 3 } } });
    await bench.complete({ kind, model: second, scripts: { openai: { tokensOut: 0 } } });
  }
  await expectLawL(bench);
  const { rows } = await bench.clients
    .costs(ADMIN_KEY)
    .costQuery({ groupBy: [CostDimension.PROVIDER, CostDimension.MODEL] });
  const ledger = new Map(
    rows.map(({ provider, model, amounts }) => [`${provider}/${model}`, amounts?.costUsd ?? ""]),
  );
  expect(ledger.size).toBe(models.length);
  expect(await metricByModel()).toEqual(ledger);
});
