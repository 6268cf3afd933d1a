import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { expectBillOnLedger } from "../support/bill-on-ledger.ts";
import { createGatewayClients } from "../support/completion-client.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { type GatewayUnderTest, MODEL, startGatewayUnderTest } from "../support/gateway-under-test.ts";
import { runOpenLoop } from "../support/open-loop.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { scrape } from "../support/scrape.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const POOL_SIZE = 5;
const DELAY_MS = 500;
/** Of a key that is not known. */
const LOOKUP_TIMEOUT_MS = 2_000;
const PER_SECOND = 200;
const DRAIN_LIMIT_MS = 10_000;
const REPORTS = 400;
/** A report waits 5 s at most for its turn, and then takes six round trips. */
const REPORT_LIMIT_MS = 12_000;

let postgres: TestPostgres;
let proxy: TcpProxy;
let simulator: Simulator;
let gateway: GatewayUnderTest;
const acknowledged: string[] = [];

beforeAll(async () => {
  [postgres, simulator] = await Promise.all([startPostgres(), startSimulator()]);
  const url = await postgres.createDatabase();
  proxy = await startTcpProxy(Number(new URL(url).port));
  gateway = await startGatewayUnderTest({
    simulator,
    env: {
      DATABASE_URL: proxy.through(url),
      DATABASE_POOL_SIZE: String(POOL_SIZE),
      KEY_PEPPER: "a-pepper-of-thirty-two-characters-or-more",
    },
  });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  await simulator.close();
  await proxy.close();
  await postgres.close();
});

const backlog = async () => (await scrape(gateway.url)).sum("llm_gateway_ledger_backlog_records");
const untilAnswered = (calls: number) => {
  const wanted = simulator.bill.lines.length + calls;
  return expect
    .poll(() => simulator.bill.lines.length, { timeout: 20_000, interval: 20 })
    .toBeGreaterThan(wanted);
};

/** Keeps callers busy while the work goes on; all of them must be served. Returns their latencies, ascending. */
async function latenciesDuring(work: () => Promise<unknown>): Promise<readonly number[]> {
  const { secret } = await gateway.createKey();
  // From now on the key is known.
  const first = { kind: "unary", text: "Hello.", model: MODEL, secret, requestId: randomUUID() } as const;
  const { attempts } = await createGatewayClients(gateway.url).complete(first);
  acknowledged.push(...attempts.map(({ attemptId }) => attemptId));
  let isOver = false;
  const traffic = runOpenLoop({ url: gateway.url, secret, perSecond: PER_SECOND, isOver: () => isOver });
  try {
    await work();
  } finally {
    isOver = true;
  }
  const { failures, answered, sent, latenciesMs } = await traffic;
  expect(failures).toEqual({});
  expect(answered).toHaveLength(sent);
  acknowledged.push(...answered);
  return latenciesMs;
}

const percentile = (ascending: readonly number[], percent: number) =>
  ascending[Math.ceil((ascending.length * percent) / 100) - 1];

const untilDrained = async () => {
  await expect.poll(backlog, { timeout: DRAIN_LIMIT_MS, interval: 50 }).toBe(0);
  await expectBillOnLedger(gateway.url, simulator, acknowledged);
};

async function report(): Promise<{ readonly code: Code | undefined; readonly elapsedMs: number }> {
  const askedAtMs = performance.now();
  const code = await createGatewayClients(gateway.url)
    .costs(ADMIN_KEY)
    .costQuery({})
    .then(
      () => undefined,
      (error: unknown) => ConnectError.from(error).code,
    );
  return { code, elapsedMs: performance.now() - askedAtMs };
}

test(`with ${DELAY_MS} ms to the database and ${POOL_SIZE} connections no call waits for it, and reports that would wait long are refused`, async () => {
  const latenciesMs = await latenciesDuring(async () => {
    await untilAnswered(200);
    proxy.delayMs = DELAY_MS;
    await untilAnswered(200);
    const reports = await Promise.all(Array.from({ length: REPORTS }, report));
    const codes = new Set(reports.map(({ code }) => code));
    expect(codes).toEqual(new Set([undefined, Code.Unavailable]));
    expect(Math.max(...reports.map(({ elapsedMs }) => elapsedMs))).toBeLessThan(REPORT_LIMIT_MS);
    await untilAnswered(200);
  });
  expect(percentile(latenciesMs, 95)).toBeLessThan(DELAY_MS);
  expect(proxy.connections).toBeLessThanOrEqual(POOL_SIZE);
  proxy.restore();
  await untilDrained();
}, 90_000);

test("a database that says nothing at all holds up no call for long, and is caught up with once it speaks again", async () => {
  const latenciesMs = await latenciesDuring(async () => {
    await untilAnswered(200);
    proxy.block();
    await untilAnswered(PER_SECOND * 8);
    const { status } = (await (await fetch(`${gateway.url}/health/ready`)).json()) as { status: string };
    expect(status).toBe("degraded");
    proxy.restore();
    await untilAnswered(200);
  });
  expect(percentile(latenciesMs, 99)).toBeLessThan(LOOKUP_TIMEOUT_MS);
  await untilDrained();
}, 90_000);

test("after a cut of all connections, as in a failover, it is caught up with by itself", async () => {
  await latenciesDuring(async () => {
    await untilAnswered(200);
    proxy.cut();
    await untilAnswered(PER_SECOND * 3);
    expect(proxy.connections).toBe(0);
    proxy.restore();
    await untilAnswered(200);
  });
  await untilDrained();
}, 90_000);
