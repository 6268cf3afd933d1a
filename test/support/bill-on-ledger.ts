import { expect } from "vitest";
import type { CostRecord } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Simulator } from "../../simulator/simulator.ts";
import { createGatewayClients } from "./completion-client.ts";
import { ADMIN_KEY } from "./gateway-process.ts";
import { billedPicoUsd } from "./gateway-under-test.ts";
import { picoUsdOf } from "./ledger-sums.ts";

/** All records, through the contract. */
export async function listAllRecords(url: string): Promise<readonly CostRecord[]> {
  const client = createGatewayClients(url).costs(ADMIN_KEY);
  const records: CostRecord[] = [];
  let pageToken = "";
  do {
    const page = await client.listCostRecords({ pageSize: 1_000, pageToken });
    records.push(...page.records);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return records;
}

/**
 * The ledger is the provider's bill, where every call that reached the provider was completed: as many records as
 * calls, with the same tokens, for the same money to the picodollar; every answer has its record, none is there
 * twice, none is unknown or estimated; and the report is the sum of the records.
 */
export async function expectBillOnLedger(
  url: string,
  simulator: Simulator,
  answered: readonly string[],
): Promise<void> {
  await simulator.whenIdle();
  const records = await listAllRecords(url);
  const { lines } = simulator.bill;
  const ids = new Set(records.map(({ attemptId }) => attemptId));
  expect(ids.size, "a record twice").toBe(records.length);
  expect(
    answered.filter((attemptId) => !ids.has(attemptId)),
    "acknowledged, and not on the ledger",
  ).toEqual([]);
  const tokensOf = ({ usage }: CostRecord) => `${usage?.tokensIn} in, ${usage?.tokensOut} out`;
  expect(countEach(records.map(tokensOf))).toEqual(
    countEach(lines.map(({ tokensIn, tokensOut }) => `${tokensIn} in, ${tokensOut} out`)),
  );
  for (const { billingState } of records) expect(billingState).toBe(BillingState.SETTLED);
  const billed = billedPicoUsd(lines);
  const recorded = records.reduce((sum, { cost }) => sum + picoUsdOf(cost?.costUsd ?? ""), 0n);
  expect(recorded).toBe(billed);
  const { totals } = await createGatewayClients(url).costs(ADMIN_KEY).costQuery({});
  expect(totals?.attempts).toBe(BigInt(lines.length));
  expect(picoUsdOf(totals?.costUsd ?? "")).toBe(billed);
}

function countEach(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
