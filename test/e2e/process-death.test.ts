import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import type { CostRecord } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { startSimulator } from "../../simulator/simulator.ts";
import { type CompletionOutcome, createGatewayClients } from "../support/completion-client.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import {
  billedPicoUsd,
  directive,
  type GatewayUnderTest,
  MODEL,
  startGatewayUnderTest,
} from "../support/gateway-under-test.ts";
import { createRandom } from "../support/ledger-samples.ts";
import { picoUsdOf } from "../support/ledger-sums.ts";
import { requestIdIn } from "../support/prompt.ts";

const SEED = 31;
const KILLS = 5;
const CALLERS = 12;

/** Keeps callers busy until the gateway is gone; returns how their calls ended. */
async function callUntilDeath(gateway: GatewayUnderTest, random: () => number) {
  const clients = createGatewayClients(gateway.url);
  const outcomes: CompletionOutcome[] = [];
  let alive = true;
  const caller = async (index: number) => {
    while (alive) {
      const requestId = randomUUID();
      const tokensOut = 5 + Math.floor(random() * 60);
      const script = {
        tokensOut,
        tokenDelayMs: index % 3 === 0 ? 15 : 1,
        latencyMs: Math.floor(random() * 20),
      };
      const text = `Hello. request=${requestId} ${directive("openai", script)}`;
      const kind = index % 2 === 0 ? "stream" : "unary";
      outcomes.push(await clients.complete({ kind, requestId, text, model: MODEL, secret: ADMIN_KEY }));
    }
  };
  const callers = Array.from({ length: CALLERS }, (_, index) => caller(index));
  await expect.poll(() => outcomes.length, { timeout: 10_000 }).toBeGreaterThan(2 * CALLERS);
  await delay(random() * 300);
  gateway.process.signal("SIGKILL");
  await gateway.process.exited;
  alive = false;
  await Promise.all(callers);
  return outcomes;
}

async function recordsOf(gateway: GatewayUnderTest): Promise<readonly CostRecord[]> {
  const client = createGatewayClients(gateway.url).costs(ADMIN_KEY);
  const records: CostRecord[] = [];
  let pageToken = "";
  do {
    const page = await client.listCostRecords({ pageSize: 1_000, pageToken });
    records.push(...page.records);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return records;
}

test(`killed ${KILLS} times amid calls (seed ${SEED}), it has every call that the provider billed exactly once`, async () => {
  const random = createRandom(SEED);
  const dataDir = mkdtempSync(join(tmpdir(), "llm-gateway-death-"));
  const simulator = await startSimulator();
  const outcomes: CompletionOutcome[] = [];
  let gateway = await startGatewayUnderTest({ dataDir, simulator });
  for (let kill = 0; kill < KILLS; kill++) {
    outcomes.push(...(await callUntilDeath(gateway, random)));
    await gateway.stop();
    gateway = await startGatewayUnderTest({ dataDir, simulator });
  }
  await simulator.whenIdle();
  const records = await recordsOf(gateway);
  const recordOf = new Map(records.map((record) => [record.requestId, record]));
  expect(new Set(records.map(({ attemptId }) => attemptId)).size).toBe(records.length);
  expect(recordOf.size, "one attempt for each request").toBe(records.length);

  const callToRequest = new Map(
    simulator.requests.recent().map(({ callId, body }) => [callId, requestIdIn(JSON.stringify(body)) ?? ""]),
  );
  const lines = simulator.bill.lines.map((line) => ({
    line,
    requestId: callToRequest.get(line.callId) ?? "",
  }));
  const billed = new Map(lines.map(({ line, requestId }) => [requestId, line]));
  expect(billed.size).toBe(lines.length);
  expect(
    [...billed.keys()].filter((id) => !recordOf.has(id)),
    "billed, but not on the ledger",
  ).toEqual([]);

  const answered = outcomes.filter(({ reason }) => reason === undefined);
  expect(answered.length).toBeGreaterThan(50);
  const acknowledged = new Set(answered.map(({ requestId }) => requestId));
  const orphans = records.filter(({ billingState }) => billingState === BillingState.UNKNOWN);
  for (const record of orphans) {
    expect(acknowledged.has(record.requestId)).toBe(false);
    expect(record.flags).toEqual(["ORPHANED"]);
    expect(record.usage?.tokensIn).toBeGreaterThan(0n);
  }
  const exact = records.filter((record) => !orphans.includes(record));
  for (const record of exact) {
    const line = billed.get(record.requestId);
    expect(line, record.requestId).toBeDefined();
    if (!line) continue;
    expect(picoUsdOf(record.cost?.costUsd ?? ""), record.requestId).toBe(billedPicoUsd([line]));
    expect(record.usage).toMatchObject({
      tokensIn: BigInt(line.tokensIn),
      tokensOut: BigInt(line.tokensOut),
    });
  }
  // Every kill caught calls under way, and what streams had delivered by then counts.
  expect(orphans.length).toBeGreaterThanOrEqual(KILLS);
  expect(orphans.some(({ usage }) => (usage?.tokensOut ?? 0n) > 0n)).toBe(true);

  const { totals } = await createGatewayClients(gateway.url).costs(ADMIN_KEY).costQuery({});
  expect(totals?.attempts).toBe(BigInt(records.length));
  expect(totals?.coverage?.unknown?.attempts).toBe(BigInt(orphans.length));
  expect(totals?.requests).toBe(BigInt(records.length));
  expect(await gateway.stop()).toBe(0);
  await simulator.close();
  rmSync(dataDir, { recursive: true });
}, 120_000);
