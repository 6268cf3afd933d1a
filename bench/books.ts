import { readObject } from "./json-call.ts";
import type { MeasuredGateway } from "./measured-gateway.ts";
import { TOKENS_IN, type Workload } from "./requests.ts";
import type { BillTotal, Upstream } from "./upstream.ts";

/** What the benchmark itself knows: how many calls of a workload succeeded. */
export interface Made {
  readonly workload: Workload;
  readonly succeeded: number;
}

/** The three accounts of the same calls. */
export interface Books {
  /** Empty when the generator's count, the ledger and the provider's bill agree to the last picodollar. */
  readonly differences: readonly string[];
  readonly requests: bigint;
  readonly costUsd: string;
}

const PICO_DIGITS = 12;

/** Compares what was called, what the gateway's ledger and metrics say, and what the provider bills. */
export async function compareBooks(
  gateway: MeasuredGateway,
  upstream: Upstream,
  made: readonly Made[],
): Promise<Books> {
  const bill = await upstream.bill();
  const ledger = await readLedger(gateway);
  const differences: string[] = [];
  for (const { workload, succeeded } of made) {
    const expected = {
      requests: BigInt(succeeded),
      tokensIn: BigInt(succeeded) * TOKENS_IN,
      tokensOut: BigInt(succeeded) * BigInt(workload.tokensOut),
    };
    differences.push(
      ...compareModel(workload.model, {
        expected,
        billed: bill.find(({ model }) => model === workload.model),
        kept: ledger.rows.find(({ model }) => model === workload.model),
      }),
    );
  }
  const all = made.reduce((sum, { succeeded }) => sum + BigInt(succeeded), 0n);
  if (ledger.requests !== all) differences.push(`ledger: ${ledger.requests} requests in all, made ${all}`);
  const counted = await countedRequests(gateway);
  if (counted !== all) differences.push(`llm_gateway_requests_total: ${counted ?? "no answer"}, made ${all}`);
  return { differences, requests: ledger.requests, costUsd: ledger.costUsd };
}

interface LedgerRow {
  readonly model: string;
  readonly requests: bigint;
  readonly tokensIn: bigint;
  readonly tokensOut: bigint;
  readonly costPicoUsd: bigint;
}

function compareModel(
  model: string,
  accounts: {
    readonly expected: { readonly requests: bigint; readonly tokensIn: bigint; readonly tokensOut: bigint };
    readonly billed: BillTotal | undefined;
    readonly kept: LedgerRow | undefined;
  },
): string[] {
  const { expected, billed, kept } = accounts;
  if (!billed || !kept)
    return expected.requests === 0n ? [] : [`${model}: missing in ${billed ? "the ledger" : "the bill"}`];
  const figures: readonly (readonly [string, bigint, bigint, bigint | undefined])[] = [
    ["requests", kept.requests, billed.calls, expected.requests],
    ["tokens in", kept.tokensIn, billed.tokensIn, expected.tokensIn],
    ["tokens out", kept.tokensOut, billed.tokensOut, expected.tokensOut],
    ["picodollars", kept.costPicoUsd, billed.costPicoUsd, undefined],
  ];
  return figures
    .filter(([, ledger, bill, call]) => ledger !== bill || (call !== undefined && call !== ledger))
    .map(
      ([name, ledger, bill, call]) =>
        `${model}, ${name}: ledger ${ledger}, bill ${bill}, made ${call ?? "–"}`,
    );
}

async function readLedger(gateway: MeasuredGateway) {
  const answer = (await readObject(`${gateway.url}/llmgateway.v1.CostService/CostQuery`, {
    apiKey: gateway.adminKey,
    body: { filter: { apiKeyIds: [gateway.apiKeyId] }, groupBy: ["COST_DIMENSION_MODEL"] },
  })) as unknown as CostAnswer;
  const { rows = [], totals } = answer;
  return {
    requests: BigInt(totals.requests ?? 0),
    costUsd: totals.costUsd,
    rows: rows.map(
      ({ model, amounts }): LedgerRow => ({
        model,
        requests: BigInt(amounts.requests ?? 0),
        tokensIn: BigInt(amounts.tokensIn ?? 0),
        tokensOut: BigInt(amounts.tokensOut ?? 0),
        costPicoUsd: toPicoUsd(amounts.costUsd),
      }),
    ),
  };
}

/** The twelve places are always there. */
function toPicoUsd(usd: string): bigint {
  const [whole = "", fraction = ""] = usd.split(".");
  if (fraction.length !== PICO_DIGITS) throw new RangeError(`not an amount with twelve places: ${usd}`);
  return BigInt(whole + fraction);
}

async function countedRequests(gateway: MeasuredGateway): Promise<bigint | undefined> {
  const response = await fetch(`${gateway.url}/metrics`);
  const text = await response.text();
  if (!response.ok) return undefined;
  const ofKey = text
    .split("\n")
    .filter((line) => line.startsWith("llm_gateway_requests_total{") && line.includes(gateway.apiKeyId));
  return ofKey.reduce((sum, line) => sum + BigInt(/\} (\d+)/.exec(line)?.[1] ?? 0), 0n);
}

interface CostAnswer {
  readonly rows?: readonly { readonly model: string; readonly amounts: Amounts }[];
  readonly totals: Amounts;
}

/** Counts are int64, as text; zeros are left out. */
interface Amounts {
  readonly requests?: string;
  readonly tokensIn?: string;
  readonly tokensOut?: string;
  readonly costUsd: string;
}
