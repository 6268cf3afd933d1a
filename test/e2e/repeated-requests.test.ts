import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CostRecord } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import {
  CALL_KINDS,
  type CallKind,
  type CompletionOptions,
  createGatewayClients,
} from "../support/completion-client.ts";
import { createDataDirectory } from "../support/data-directory.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import {
  billedPicoUsd,
  directive,
  type GatewayUnderTest,
  MODEL,
  startGatewayUnderTest,
} from "../support/gateway-under-test.ts";
import { picoUsdOf } from "../support/ledger-sums.ts";

const ANSWER = "TheAnswerThatNobodyMayRead";

let dataDir: string;
let simulator: Simulator;
let gateway: GatewayUnderTest;
beforeAll(async () => {
  dataDir = await createDataDirectory("repeated");
  simulator = await startSimulator();
  gateway = await startGatewayUnderTest({ dataDir, simulator });
});
afterAll(async () => {
  await gateway.stop();
  await simulator.close();
  rmSync(dataDir, { recursive: true });
});

async function restart(how: "SIGTERM" | "SIGKILL", env: Readonly<Record<string, string>> = {}) {
  gateway.process.signal(how);
  await gateway.process.exited;
  await gateway.stop();
  gateway = await startGatewayUnderTest({ dataDir, simulator, env });
}

type Call = Omit<CompletionOptions, "secret" | "model">;

const complete = (call: Call) =>
  createGatewayClients(gateway.url).complete({ ...call, model: MODEL, secret: ADMIN_KEY });
const completeAll = (calls: readonly Call[]) => Promise.all(calls.map(complete));

function callOf(kind: CallKind, script: Script): Call {
  const requestId = randomUUID();
  return { kind, requestId, text: `Hello ${requestId} ${directive("openai", script)}` };
}

/** Every call was made once and is on the ledger once; the ones that were cut are there as unknown. */
async function expectOneChargeEach(calls: readonly Call[], cut: readonly Call[]): Promise<void> {
  const client = createGatewayClients(gateway.url).costs(ADMIN_KEY);
  const { records } = await client.listCostRecords({ pageSize: 1_000 });
  const recordsOf = new Map<string, CostRecord[]>();
  for (const record of records)
    recordsOf.set(record.requestId, [...(recordsOf.get(record.requestId) ?? []), record]);
  for (const call of [...calls, ...cut]) {
    const lines = await gateway.billOf(call.requestId);
    const [record, ...more] = recordsOf.get(call.requestId) ?? [];
    expect([lines.length, more.length]).toEqual([1, 0]);
    if (cut.includes(call)) expect(record?.billingState).toBe(BillingState.UNKNOWN);
    else expect(picoUsdOf(record?.cost?.costUsd ?? "")).toBe(billedPicoUsd(lines));
  }
}

function expectNothingReadable(): void {
  const journal = join(dataDir, "journal");
  const files = readdirSync(journal).map((name) => readFileSync(join(journal, name), "latin1"));
  expect(files.length).toBeGreaterThan(0);
  for (const content of files) expect(content).not.toContain(ANSWER);
}

test("repeated requests outlive the process: answered as before, or refused if nobody knows what they came to", async () => {
  const calls = CALL_KINDS.flatMap((kind) => Array.from({ length: 4 }, () => callOf(kind, { text: ANSWER })));
  const cut = [
    callOf("unary", { latencyMs: 60_000 }),
    callOf("stream", { tokensOut: 2_000, tokenDelayMs: 50 }),
  ];
  const interrupted = completeAll(cut);
  await expect.poll(() => cut.flatMap(({ requestId }) => gateway.requestsOf(requestId)).length).toBe(2);
  const first = await completeAll(calls);
  for (const { text, replayed } of first) expect([text, replayed]).toEqual([ANSWER, false]);
  // Nothing happens between the answers and the end of the process: what was answered is durable.
  await restart("SIGKILL");
  for (const { reason } of await interrupted) expect(reason).toBeDefined();

  const expectRepeated = async () => {
    for (const [index, outcome] of (await completeAll(calls)).entries()) {
      const { text, attempts, usage, cost, provider } = first[index] ?? {};
      expect(outcome).toMatchObject({ ...{ text, attempts, usage, cost, provider }, replayed: true });
    }
    for (const { reason } of await completeAll([...cut, ...cut, ...cut]))
      expect(reason).toBe("REQUEST_OUTCOME_UNKNOWN");
    for (const { reason } of await completeAll([...calls, ...cut].map((call) => ({ ...call, text: "?" }))))
      expect(reason).toBe("REQUEST_ID_REUSED");
  };
  await expectRepeated();
  expectNothingReadable();

  // What was kept before the operator wanted no answers kept is still told, until it expires.
  await restart("SIGTERM", { REPLAY_TTL: "0" });
  await expectRepeated();
  const unkept = callOf("unary", { latencyMs: 200 });
  const together = await completeAll([unkept, unkept]);
  const told = together.map(({ replayed, reason }) => `${replayed} ${reason}`);
  expect(told.toSorted((a, b) => a.localeCompare(b))).toEqual(["false undefined", "true undefined"]);
  expect((await complete(unkept)).reason).toBe("REQUEST_ANSWER_NOT_KEPT");
  await expectOneChargeEach([...calls, unkept], cut);
}, 180_000);
