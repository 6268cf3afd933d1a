import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { KeyService } from "../../gen/es/llmgateway/v1/key_pb.ts";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { completeWith, uniquePrompt, userMessage } from "../suites/client-suite.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { failureOf, type GatewayClient } from "../support/clients/gateway-client.ts";
import { CALL_KINDS, createGatewayClients } from "../support/completion-client.ts";
import {
  billedPicoUsd,
  directive,
  FALLBACK_MODEL,
  type GatewayUnderTest,
  MODEL,
  startGatewayUnderTest,
  usd,
} from "../support/gateway-under-test.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";

const REVOCATION_LIMIT_MS = 5_000;

let postgres: TestPostgres;
let simulator: Simulator;
let first: GatewayUnderTest;
let second: GatewayUnderTest;

beforeAll(async () => {
  [postgres, simulator] = await Promise.all([startPostgres(), startSimulator()]);
  const env = {
    DATABASE_URL: await postgres.createDatabase(),
    KEY_PEPPER: "pepper-that-all-replicas-share-0123456789",
  };
  // At once, on an empty database: one of them migrates, the other waits.
  [first, second] = await Promise.all([
    startGatewayUnderTest({ env, simulator }),
    startGatewayUnderTest({ env, simulator }),
  ]);
});
afterAll(async () => {
  expect(await Promise.all([first.stop(), second.stop()])).toEqual([0, 0]);
  await simulator.close();
  await postgres.close();
});

const clientOf = (gateway: GatewayUnderTest): GatewayClient => createFetchClient(gateway.url);
const use = (gateway: GatewayUnderTest, key: string, model = MODEL) =>
  completeWith(clientOf(gateway), { ...userMessage(uniquePrompt()), model }, { key });

/** Until the other process refuses; how long that took. */
async function untilRefused(call: () => Promise<unknown>, reason: string): Promise<number> {
  const startedAt = performance.now();
  await vi.waitFor(async () => expect((await failureOf(call())).reason).toBe(reason), {
    timeout: REVOCATION_LIMIT_MS,
    interval: 100,
  });
  return performance.now() - startedAt;
}

describe("two processes on one PostgreSQL", () => {
  const admin = () => ({ key: first.adminKey });

  it("accept each other's keys at once", async () => {
    const { secret } = await first.createKey();
    expect((await use(second, secret)).message.provider).toBe("openai");
  });

  it("both refuse a revoked key within five seconds, although it is in use", async () => {
    const { secret, apiKeyId } = await first.createKey();
    await use(second, secret);
    await use(first, secret);
    await clientOf(first).unary(KeyService.method.revokeKey, { apiKeyId }, admin());
    expect((await failureOf(use(first, secret))).reason).toBe("UNAUTHENTICATED");
    expect(await untilRefused(() => use(second, secret), "UNAUTHENTICATED")).toBeLessThan(
      REVOCATION_LIMIT_MS,
    );
  });

  it("follow each other's changes of a key within five seconds", async () => {
    const { secret, apiKeyId } = await first.createKey();
    await use(second, secret);
    const key = { apiKeyId, allowedModels: [FALLBACK_MODEL] };
    const updateMask = { paths: ["allowed_models"] };
    await clientOf(first).unary(KeyService.method.updateKey, { key, updateMask }, admin());
    await untilRefused(() => use(second, secret), "MODEL_NOT_ALLOWED");
    const rotated = await clientOf(first).unary(
      KeyService.method.rotateKey,
      { apiKeyId, overlap: { seconds: 0n } },
      admin(),
    );
    // A process that has just read the key does not read it again for every secret that does not match.
    await vi.waitFor(async () => use(second, rotated.message.secret, FALLBACK_MODEL), { timeout: 1_000 });
    await untilRefused(() => use(second, secret, FALLBACK_MODEL), "UNAUTHENTICATED");
  });

  it("keep one ledger: either one soon reports what both spent, at the provider's bill", async () => {
    const { secret } = await first.createKey();
    const text = uniquePrompt();
    await Promise.all(
      [first, second, first, second, second].map((gateway) =>
        completeWith(clientOf(gateway), userMessage(text), { key: secret }),
      ),
    );
    const cost = usd(billedPicoUsd(await first.billOf(text)));
    for (const gateway of [first, second]) {
      // A process sees what it acknowledged itself at once, what the other one did when that has shipped it.
      await vi.waitFor(async () => {
        const { message } = await clientOf(gateway).unary(CostService.method.costQuery, {}, { key: secret });
        expect(message.totals).toMatchObject({ requests: 5n, attempts: 5n, costUsd: cost });
      });
    }
  });

  it.each(CALL_KINDS)("make a repeated request once, whichever of them gets it (%s)", async (kind) => {
    const { secret } = await first.createKey();
    const requestId = randomUUID();
    const text = uniquePrompt(directive("openai", { latencyMs: 100, tokensOut: 20 }));
    const call = { ...{ kind, secret, requestId, text }, model: MODEL };
    const ask = (gateway: GatewayUnderTest, changes: { readonly text?: string } = {}) =>
      createGatewayClients(gateway.url).complete({ ...call, ...changes });
    const both = Array.from({ length: 5 }, () => [first, second]).flat();
    const outcomes = await Promise.all(both.map((gateway) => ask(gateway)));
    outcomes.push(...(await Promise.all(both.map((gateway) => ask(gateway)))));
    expect(outcomes.filter(({ replayed }) => !replayed)).toHaveLength(1);
    for (const { reason, text: answer, attempts } of outcomes) {
      expect({ reason, answer, attempts }).toEqual({
        ...{ reason: undefined, answer: outcomes[0]?.text, attempts: outcomes[0]?.attempts },
      });
    }
    for (const gateway of [first, second])
      expect((await ask(gateway, { text: "Other." })).reason).toBe("REQUEST_ID_REUSED");
    expect(await first.billOf(text)).toHaveLength(1);
  });
});
