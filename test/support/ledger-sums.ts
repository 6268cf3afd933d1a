import type { Client } from "@connectrpc/connect";
import { expect } from "vitest";
import {
  type CostAmounts,
  CostDimension,
  CostDimensionSchema,
  type CostRecord,
  CostRecordKind,
  type CostService,
} from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { type Evidence, filterOf } from "./evidence.ts";
import { ADMIN_KEY } from "./gateway-process.ts";

/** Exact sums: tokens as integers, money in picodollars. */
interface Sums {
  readonly attempts: bigint;
  readonly tokensIn: bigint;
  readonly tokensOut: bigint;
  readonly uncachedTokensIn: bigint;
  readonly cacheReadTokensIn: bigint;
  readonly cacheWriteTokensIn: bigint;
  readonly textTokensOut: bigint;
  readonly reasoningTokensOut: bigint;
  readonly costPicoUsd: bigint;
}

/** `quick` after each test, `thorough` once for each gateway: every grouping, and many small pages. */
export type Effort = "quick" | "thorough";

const FINEST = [
  CostDimension.API_KEY,
  CostDimension.PROVIDER,
  CostDimension.MODEL,
  CostDimension.DAY,
] as const;

const GROUPINGS: Readonly<Record<Effort, readonly (readonly CostDimension[])[]>> = {
  quick: [FINEST],
  thorough: [
    [],
    [CostDimension.API_KEY],
    [CostDimension.PROVIDER],
    [CostDimension.PROVIDER, CostDimension.MODEL],
    [CostDimension.END_USER],
    [CostDimension.HOUR],
    [CostDimension.MONTH],
    FINEST,
  ],
};

/**
 * The records, the rows of every grouping, their totals, and the plain JSON routes all come to the same; the thorough
 * way, the gateway's own check of its books finds nothing either.
 */
export async function expectExactSums(
  evidence: Evidence,
  records: readonly CostRecord[],
  effort: Effort,
): Promise<void> {
  const expected = add(records.map(sumsOfRecord));
  const requests = requestsOf(evidence, records);
  const client = evidence.clients.costs(ADMIN_KEY);
  for (const groupBy of GROUPINGS[effort]) {
    const filter = filterOf(evidence);
    const { rows, totals } = await client.costQuery({ filter, groupBy: [...groupBy] });
    const name = `grouped by ${groupBy.map((dimension) => CostDimensionSchema.value[dimension]?.localName).join(", ")}`;
    expect(sumsOfAmounts(totals), `totals ${name}`).toEqual(expected);
    expect(totals?.requests, `requests ${name}`).toBeGreaterThanOrEqual(requests.least);
    expect(totals?.requests, `requests ${name}`).toBeLessThanOrEqual(requests.most);
    expect(attemptsCovered(totals), `coverage ${name}`).toBe(expected.attempts);
    if (groupBy.length > 0)
      expect(add(rows.map(({ amounts }) => sumsOfAmounts(amounts))), `rows ${name}`).toEqual(expected);
  }
  if (!evidence.tags && !evidence.providers) await expectPlainJsonToAgree(evidence, expected);
  if (effort === "thorough") {
    const { ok, differences } = await client.verifyLedger({});
    expect(differences).toEqual([]);
    expect(ok).toBe(true);
  }
}

/**
 * Not by id: one that cost nothing may be made anew under its id, and two keys may choose the same one. A kill between
 * a request's last outcome and its own row loses the row, unless the caller was answered.
 */
function requestsOf({ outcomes, killed }: Evidence, records: readonly CostRecord[]) {
  const most = BigInt(
    records.filter(({ ordinal, kind }) => ordinal === 1 && kind === CostRecordKind.CHARGE).length,
  );
  const answered = outcomes.filter(({ reason }) => reason === undefined);
  const answers = new Set(answered.map(({ attempts }) => attempts.at(-1)?.attemptId));
  return { most, least: killed ? BigInt(answers.size) : most };
}

/**
 * Every page of the whole ledger, one at a time, adds up to the totals of the same instant. Resolves to these and to
 * the number of pages.
 */
export async function expectPagesToSumUp(costs: Client<typeof CostService>) {
  const { totals, asOf } = await costs.costQuery({});
  const filter = asOf === undefined ? {} : { asOf };
  let sums = add([]);
  let pages = 0;
  let pageToken = "";
  do {
    const page = await costs.listCostRecords({ filter, pageSize: 1_000, pageToken });
    sums = add([sums, ...page.records.map(sumsOfRecord)]);
    pages += 1;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(sums).toEqual(sumsOfAmounts(totals));
  return { totals, pages };
}

type PlainAmounts = Readonly<Record<string, number | string>>;

async function expectPlainJsonToAgree(evidence: Evidence, expected: Sums): Promise<void> {
  const response = await fetch(`${evidence.url}/v1/costs`, { headers: { "x-api-key": ADMIN_KEY } });
  expect(response.status).toBe(200);
  const report = (await response.json()) as {
    readonly totals: PlainAmounts;
    readonly by_api_key: readonly PlainAmounts[];
    readonly by_provider: readonly PlainAmounts[];
    readonly by_model: readonly PlainAmounts[];
  };
  expect(sumsOfPlain(report.totals)).toEqual(expected);
  for (const rows of [report.by_api_key, report.by_provider, report.by_model])
    expect(add(rows.map(sumsOfPlain))).toEqual(expected);
}

function add(all: readonly Sums[]): Sums {
  const sum = (name: keyof Sums) => all.reduce((total, sums) => total + sums[name], 0n);
  return {
    attempts: sum("attempts"),
    tokensIn: sum("tokensIn"),
    tokensOut: sum("tokensOut"),
    uncachedTokensIn: sum("uncachedTokensIn"),
    cacheReadTokensIn: sum("cacheReadTokensIn"),
    cacheWriteTokensIn: sum("cacheWriteTokensIn"),
    textTokensOut: sum("textTokensOut"),
    reasoningTokensOut: sum("reasoningTokensOut"),
    costPicoUsd: sum("costPicoUsd"),
  };
}

/** What holds of each attempt after its corrections. */
export function entriesInForce(records: readonly CostRecord[]): readonly CostRecord[] {
  const inForce = new Map<string, CostRecord>();
  for (const record of records) {
    const other = inForce.get(record.attemptId);
    if (record.kind !== CostRecordKind.REVERSAL && (!other || other.revision < record.revision))
      inForce.set(record.attemptId, record);
  }
  return [...inForce.values()];
}

/** A reversal's tokens and cost are negative, and it takes one attempt back. */
function sumsOfRecord({ usage, cost, kind }: CostRecord): Sums {
  return {
    attempts: kind === CostRecordKind.REVERSAL ? -1n : 1n,
    tokensIn: usage?.tokensIn ?? 0n,
    tokensOut: usage?.tokensOut ?? 0n,
    uncachedTokensIn: usage?.uncachedTokensIn ?? 0n,
    cacheReadTokensIn: usage?.cacheReadTokensIn ?? 0n,
    cacheWriteTokensIn: usage?.cacheWriteTokensIn ?? 0n,
    textTokensOut: usage?.textTokensOut ?? 0n,
    reasoningTokensOut: usage?.reasoningTokensOut ?? 0n,
    costPicoUsd: picoUsdOf(cost?.costUsd ?? "0.000000000000"),
  };
}

function sumsOfAmounts(amounts: CostAmounts | undefined): Sums {
  if (!amounts) throw new Error("a report without amounts");
  const { attempts, tokensIn, tokensOut, uncachedTokensIn, cacheReadTokensIn, cacheWriteTokensIn } = amounts;
  const { textTokensOut, reasoningTokensOut, costUsd } = amounts;
  return {
    ...{ attempts, tokensIn, tokensOut, uncachedTokensIn, cacheReadTokensIn, cacheWriteTokensIn },
    ...{ textTokensOut, reasoningTokensOut, costPicoUsd: picoUsdOf(costUsd) },
  };
}

function sumsOfPlain(amounts: PlainAmounts): Sums {
  const count = (name: string) => BigInt(amounts[name] ?? Number.NaN);
  return {
    attempts: count("attempts"),
    tokensIn: count("tokens_in"),
    tokensOut: count("tokens_out"),
    uncachedTokensIn: count("uncached_tokens_in"),
    cacheReadTokensIn: count("cache_read_tokens_in"),
    cacheWriteTokensIn: count("cache_write_tokens_in"),
    textTokensOut: count("text_tokens_out"),
    reasoningTokensOut: count("reasoning_tokens_out"),
    costPicoUsd: picoUsdOf(String(amounts.cost_usd)),
  };
}

function attemptsCovered(amounts: CostAmounts | undefined): bigint {
  const coverage = amounts?.coverage;
  const shares = [
    ...[coverage?.reported, coverage?.estimated, coverage?.unpriced],
    ...[coverage?.notBilled, coverage?.unknown],
  ];
  return shares.reduce((total, share) => total + (share?.attempts ?? 0n), 0n);
}

/** Exact picodollars of a decimal string with twelve places. */
export function picoUsdOf(costUsd: string): bigint {
  expect(costUsd).toMatch(/^-?\d+\.\d{12}$/);
  return BigInt(costUsd.replace(".", ""));
}
