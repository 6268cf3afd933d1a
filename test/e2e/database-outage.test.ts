import { afterAll, beforeAll, expect, test } from "vitest";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { expectBillOnLedger } from "../support/bill-on-ledger.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { failureOf } from "../support/clients/gateway-client.ts";
import { createGatewayClients } from "../support/completion-client.ts";
import {
  createKey,
  directive,
  type GatewayUnderTest,
  MODEL,
  startGatewayUnderTest,
} from "../support/gateway-under-test.ts";
import { runOpenLoop } from "../support/open-loop.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { scrape } from "../support/scrape.ts";

const PER_SECOND = 500;
const DRAIN_LIMIT_MS = 10_000;
const SERVED_BEFORE = 500;
const SERVED_MEANWHILE = 1_500;
const SERVED_AFTER = 500;

let postgres: TestPostgres;
let simulator: Simulator;
let gateway: GatewayUnderTest;
beforeAll(async () => {
  [postgres, simulator] = await Promise.all([startPostgres(), startSimulator()]);
  const env = {
    DATABASE_URL: await postgres.createDatabase(),
    KEY_PEPPER: "a-pepper-of-thirty-two-characters-or-more",
  };
  gateway = await startGatewayUnderTest({ simulator, env });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  await simulator.close();
  await postgres.close();
});

const health = async () => {
  const response = await fetch(`${gateway.url}/health`);
  const { status, checks } = (await response.json()) as { status: string; checks: unknown };
  return { code: response.status, status, checks };
};

test(`PostgreSQL killed under ${PER_SECOND} requests/s: all are served on, and the ledger is the bill exactly`, async () => {
  const { secret } = await gateway.createKey();
  const { secret: unseen } = await gateway.createKey();
  let isOver = false;
  const answered = () => simulator.bill.lines.length;
  const traffic = runOpenLoop({
    ...{ url: gateway.url, secret, perSecond: PER_SECOND, isOver: () => isOver },
    text: (call) => `Hello. ${directive("openai", { tokensOut: 1 + (call % 40) })}`,
  });
  const untilAnswered = (calls: number) =>
    expect.poll(answered, { timeout: 20_000, interval: 20 }).toBeGreaterThan(calls);

  await untilAnswered(SERVED_BEFORE);
  await postgres.kill();
  await untilAnswered(answered() + SERVED_MEANWHILE);
  const checks = { database: "failing", ledger: "ok" };
  await expect.poll(health).toEqual({ code: 200, status: "degraded", checks });
  // A key that was never seen cannot be checked; nobody waits for it to be.
  const askedAtMs = performance.now();
  const { reason } = await createGatewayClients(gateway.url).complete({
    ...{ kind: "unary", text: "Hello.", model: MODEL, secret: unseen, requestId: "unseen" },
  });
  expect(reason).toBe("LEDGER_UNAVAILABLE");
  expect(performance.now() - askedAtMs).toBeLessThan(1_000);
  expect((await failureOf(createKey(createFetchClient(gateway.url)))).reason).toBe("LEDGER_UNAVAILABLE");

  await postgres.start();
  const returnedAtMs = performance.now();
  await untilAnswered(answered() + SERVED_AFTER);
  isOver = true;
  const result = await traffic;
  const backlog = async () => (await scrape(gateway.url)).sum("llm_gateway_ledger_backlog_records");
  await expect.poll(backlog, { timeout: DRAIN_LIMIT_MS, interval: 50 }).toBe(0);
  expect(performance.now() - returnedAtMs).toBeLessThan(DRAIN_LIMIT_MS);
  expect(result.failures).toEqual({});
  expect(result.answered).toHaveLength(result.sent);
  expect(result.sent).toBeGreaterThan(SERVED_BEFORE + SERVED_MEANWHILE + SERVED_AFTER);
  await expectBillOnLedger(gateway.url, simulator, result.answered);
  await expect.poll(health).toMatchObject({ code: 200, status: "ok" });
}, 90_000);
