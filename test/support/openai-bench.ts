import { randomUUID } from "node:crypto";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { BillLine } from "../../simulator/bill.ts";
import type { PersonalityName } from "../../simulator/personalities.ts";
import { costPicoUsd } from "../../simulator/prices.ts";
import type { Script } from "../../simulator/script.ts";
import {
  type CreatedKey,
  directive,
  type GatewayUnderTest,
  startGatewayUnderTest,
  usd,
} from "./gateway-under-test.ts";

/** A running gateway, and clients that know nothing of it but its address and a key. */
export interface OpenAiBench extends GatewayUnderTest {
  readonly key: CreatedKey;
  readonly baseURL: string;
  /** The official client as its users make it. */
  client(options?: Partial<ConstructorParameters<typeof OpenAI>[0]>): OpenAI;
}

/** One gateway for the tests of a file. After each of them the whole ledger must be the simulator's whole bill. */
export function useOpenAiBench(
  env: Readonly<Record<string, string>> = {},
  models: Readonly<Record<string, unknown>> = {},
): () => OpenAiBench {
  let bench: OpenAiBench | undefined;
  const get = () => {
    if (!bench) throw new Error("the bench is not running");
    return bench;
  };
  beforeAll(async () => {
    const gateway = await startGatewayUnderTest({ env, models });
    const key = await gateway.createKey();
    const baseURL = `${gateway.url}/v1`;
    bench = {
      ...gateway,
      key,
      baseURL,
      client: (options = {}) => new OpenAI({ baseURL, apiKey: key.secret, ...options }),
    };
  });
  afterEach(async () => {
    await expectBillIsLedger(get());
  });
  afterAll(async () => {
    if (!bench) return;
    expect(await bench.stop()).toBe(0);
    // Every question is marked: none of them, and so no prompt, is in a line of the log.
    expect(bench.process.output()).not.toContain("question=");
  });
  return get;
}

/** A question that no other test asks, and what the simulator does with it. */
export function question(script: Script = {}, personality: PersonalityName = "openai") {
  const marker = `question=${randomUUID()}`;
  return { marker, text: `Hello. ${marker} ${directive(personality, script)}` };
}

export const user = (content: string) => ({ role: "user", content }) as const;

/** A record as the plain JSON route gives it. */
export interface PlainRecord {
  readonly request_id: string;
  readonly ordinal: number;
  readonly api_key_id: string;
  readonly provider: string;
  readonly model: string;
  readonly outcome: string;
  readonly error_reason: string | null;
  readonly usage_source: string;
  readonly tokens_in: number | null;
  readonly tokens_out: number | null;
  readonly billing_state: string;
  readonly cost_usd: string | null;
  readonly tags: Readonly<Record<string, string>>;
  readonly end_user: string | null;
  readonly streamed: boolean;
}

export async function recordsOf(bench: GatewayUnderTest): Promise<readonly PlainRecord[]> {
  const records: PlainRecord[] = [];
  let token = "";
  do {
    const pageToken = token === "" ? "" : `&page_token=${encodeURIComponent(token)}`;
    const url = `${bench.url}/v1/costs/records?page_size=1000${pageToken}`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${bench.adminKey}` } });
    const page = (await response.json()) as {
      readonly records: readonly PlainRecord[];
      readonly next_page_token: string;
    };
    records.push(...page.records);
    token = page.next_page_token;
  } while (token !== "");
  return records;
}

/**
 * Every line of the bill is on the ledger and nothing else is: what was completed to the token and the picodollar, what
 * was refused for nothing, and what was interrupted as an estimate that says so.
 */
export async function expectBillIsLedger(bench: GatewayUnderTest): Promise<void> {
  await bench.simulator.whenIdle();
  const { lines } = bench.simulator.bill;
  await expect
    .poll(async () => (await recordsOf(bench)).length, { interval: 20, timeout: 10_000 })
    .toBe(lines.length);
  const open = [...(await recordsOf(bench))];
  const take = (line: BillLine, agrees: (record: PlainRecord) => boolean) => {
    const at = open.findIndex((record) => record.provider === line.personality && agrees(record));
    if (at >= 0) open.splice(at, 1);
    return at >= 0;
  };
  const inexact = lines.filter((line) => !take(line, (record) => isExact(line, record)));
  for (const line of inexact) {
    const found = take(line, (record) => isEstimateOf(line, record));
    expect(found, `${JSON.stringify(line)} is not on the ledger: ${JSON.stringify(open)}`).toBe(true);
  }
}

function isExact(line: BillLine, record: PlainRecord): boolean {
  // A request that the provider could not read has no model on its bill.
  if (line.state === "refused") return record.billing_state === "not_billed" && Number(record.cost_usd) === 0;
  const cost = costPicoUsd(line.personality, line.model, line);
  return (
    line.state === "completed" &&
    record.usage_source === "reported" &&
    record.model === line.model &&
    record.streamed === line.stream &&
    record.tokens_in === line.tokensIn &&
    record.tokens_out === line.tokensOut &&
    record.cost_usd === (cost === undefined ? null : usd(cost))
  );
}

/** Nobody saw how it ended: its caller left, or the provider broke off. */
function isEstimateOf(line: BillLine, record: PlainRecord): boolean {
  return (
    record.model === line.model &&
    record.outcome === (line.state === "completed" ? "cancelled" : record.outcome) &&
    record.outcome !== "succeeded" &&
    record.usage_source === "estimated"
  );
}
