import { afterAll, beforeAll, expect, test } from "vitest";
import { CostDimension } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { type FaultBench, startFaultBench } from "../support/fault-bench.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { billedPicoUsd, usd } from "../support/gateway-under-test.ts";
import { expectLawL } from "../support/law-l.ts";
import { scrape } from "../support/scrape.ts";

/** Elsewhere counters and the log of spend were advanced apart, and told different sums. */

let bench: FaultBench;

beforeAll(async () => {
  bench = await startFaultBench({
    groups: { openai: { profile: "openai", count: 3 }, huggingface: { profile: "huggingface", count: 2 } },
  });
});
afterAll(() => bench.close());

type ByModel = ReadonlyMap<string, string>;

interface Named {
  readonly provider?: string;
  readonly model?: string;
}

const nameOf = ({ provider = "", model = "" }: Named) => `${provider}/${model}`;

/** What the counters say of the group's models: money in USD to the picodollar, and tokens. */
async function metrics(group: string): Promise<{ readonly usd: ByModel; readonly tokens: ByModel }> {
  const series = (await scrape(bench.gateway.url)).series();
  const sums = (metric: string, write: (sum: number) => string): ByModel => {
    const counted = series.filter(
      ({ name, labels }) => name === metric && labels.provider?.startsWith(`${group}-`),
    );
    const byModel = Map.groupBy(counted, ({ labels }) => nameOf(labels));
    return new Map(
      [...byModel].map(([model, each]) => [model, write(each.reduce((sum, { value }) => sum + value, 0))]),
    );
  };
  // A counter is a float; to the picodollar it is exact far beyond what is spent here.
  return {
    usd: sums("llm_gateway_cost_total", (usd) => usd.toFixed(12)),
    tokens: sums("llm_gateway_tokens_total", String),
  };
}

/** The same of the ledger. */
async function ledger(group: string): Promise<{ readonly usd: ByModel; readonly tokens: ByModel }> {
  const { rows } = await bench.clients
    .costs(ADMIN_KEY)
    .costQuery({ groupBy: [CostDimension.PROVIDER, CostDimension.MODEL] });
  const ofGroup = rows.filter(({ provider }) => provider.startsWith(`${group}-`));
  return {
    usd: new Map(ofGroup.map((row) => [nameOf(row), row.amounts?.costUsd ?? ""])),
    tokens: new Map(
      ofGroup.map((row) => [
        nameOf(row),
        String((row.amounts?.tokensIn ?? 0n) + (row.amounts?.tokensOut ?? 0n)),
      ]),
    ),
  };
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
  const kept = await ledger("openai");
  expect(kept.usd.size).toBe(models.length);
  expect(await metrics("openai")).toEqual(kept);
});

test("calls that are drained are counted with what they came to, which the ledger and the bill say, too", async () => {
  const [streamed, whole] = [bench.candidate("huggingface"), bench.candidate("huggingface")];
  const caller = new AbortController();
  await bench.complete({
    ...{ kind: "stream", model: streamed, signal: caller.signal, onText: () => caller.abort() },
    scripts: { huggingface: { tokensOut: 200, tokenDelayMs: 10 } },
  });
  await bench.complete({
    ...{ kind: "unary", model: whole, timeoutMs: 500 },
    scripts: { huggingface: { latencyMs: 2_000, tokensOut: 30 } },
  });
  const ends = async () => (await scrape(bench.gateway.url)).sum("llm_gateway_drains_total");
  await expect.poll(ends, { interval: 20, timeout: 10_000 }).toBe(2);
  const lines = (await bench.billed()).filter(({ personality }) => personality === "huggingface");
  expect(lines.map(({ state, tokensOut }) => `${state} ${tokensOut}`).toSorted()).toEqual([
    "completed 200",
    "completed 30",
  ]);
  const bill = {
    usd: new Map(
      lines.map((line) => [`${bench.providerOf(line)}/${line.model}`, usd(billedPicoUsd([line]))]),
    ),
    tokens: new Map(
      lines.map((line) => [
        `${bench.providerOf(line)}/${line.model}`,
        String(line.tokensIn + line.tokensOut),
      ]),
    ),
  };
  expect(await ledger("huggingface")).toEqual(bill);
  expect(await metrics("huggingface")).toEqual(bill);
  expect((await bench.clients.costs(ADMIN_KEY).verifyLedger({})).differences).toEqual([]);
});
