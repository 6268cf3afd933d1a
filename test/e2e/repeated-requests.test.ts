import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CostRecord } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { type Attempt, BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import {
  CALL_KINDS,
  type CallKind,
  type CompletionOptions,
  type CompletionOutcome,
  createGatewayClients,
} from "../support/completion-client.ts";
import { createDataDirectory } from "../support/data-directory.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import {
  billedPicoUsd,
  directive,
  FALLBACK_MODEL,
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

type Call = Omit<CompletionOptions, "secret" | "model"> & { readonly model?: string };

const complete = (call: Call) =>
  createGatewayClients(gateway.url).complete({ model: MODEL, ...call, secret: ADMIN_KEY });
const completeAll = (calls: readonly Call[]) => Promise.all(calls.map(complete));

function callOf(kind: CallKind, script: Script): Call {
  const requestId = randomUUID();
  return { kind, requestId, text: `Hello ${requestId} ${directive("openai", script)}` };
}

/** A call whose first provider refuses it at once, and whose second one takes long. */
function fallingBack(): Call {
  const requestId = randomUUID();
  const scripts = `${directive("openai", { status: 401 })} ${directive("deepseek", { latencyMs: 60_000 })}`;
  return {
    kind: "unary",
    requestId,
    text: `Hello ${requestId} ${scripts}`,
    fallbackModels: [FALLBACK_MODEL],
  };
}

/** What a refusal tells of the attempts is what the ledger says of them. */
async function expectAttemptsOfLedger(outcomes: readonly CompletionOutcome[]): Promise<void> {
  const client = createGatewayClients(gateway.url).costs(ADMIN_KEY);
  const { records } = await client.listCostRecords({ pageSize: 1_000 });
  const essence = ({
    attemptId,
    ordinal,
    provider,
    model,
    outcome,
    billingState,
    cost,
  }: Attempt | CostRecord) =>
    [attemptId, ordinal, provider, model, outcome, billingState, cost?.costUsd].join(" ");
  for (const { requestId, attempts } of outcomes) {
    const kept = records.filter((record) => record.requestId === requestId);
    expect(kept.length).toBeGreaterThan(0);
    expect(attempts.map(essence)).toEqual(kept.toSorted((a, b) => a.ordinal - b.ordinal).map(essence));
  }
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
  const second = fallingBack();
  const interrupted = completeAll([...cut, second]);
  const called = () => [...cut, second].flatMap(({ requestId }) => gateway.requestsOf(requestId)).length;
  await expect.poll(called).toBe(4);
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
    const unknown = await completeAll([...cut, ...cut, ...cut, second]);
    for (const { reason, replayed, error } of unknown) {
      expect({ reason, replayed }).toEqual({ reason: "REQUEST_OUTCOME_UNKNOWN", replayed: true });
      expect(error?.rawMessage).toBe(
        "the call with this request_id was interrupted, and may have cost money; to try, and pay, again send a new request_id",
      );
    }
    await expectAttemptsOfLedger(unknown);
    expect(unknown[0]?.attempts).toMatchObject([{ billingState: BillingState.UNKNOWN }]);
    expect(unknown.at(-1)?.attempts).toMatchObject([
      { provider: "openai", ordinal: 1, billingState: BillingState.NOT_BILLED },
      { provider: "deepseek", ordinal: 2, billingState: BillingState.UNKNOWN, cost: { estimated: true } },
    ]);
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
