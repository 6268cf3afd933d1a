import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { openDatabase } from "../../src/db/open-database.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { failureOf } from "../support/clients/gateway-client.ts";
import { createGatewayClients } from "../support/completion-client.ts";
import { allEntities } from "../support/databases.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import {
  createKey,
  type GatewayUnderTest,
  MODEL,
  startGatewayUnderTest,
} from "../support/gateway-under-test.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";

const KEY_PEPPER = "a-pepper-of-thirty-two-characters-or-more";
const RECOVERY_LIMIT_MS = 5_000;

let postgres: TestPostgres;
let simulator: Simulator;
beforeAll(async () => {
  [postgres, simulator] = await Promise.all([startPostgres(), startSimulator()]);
});
afterAll(async () => {
  await simulator.close();
  await postgres.close();
});

const start = (url: string, dataDir?: string) =>
  startGatewayUnderTest({
    simulator,
    env: { DATABASE_URL: url, KEY_PEPPER },
    ...(dataDir === undefined ? {} : { dataDir }),
  });
const get = async (gateway: GatewayUnderTest, path: string) => {
  const response = await fetch(`${gateway.url}${path}`);
  return { status: response.status, body: (await response.json()) as unknown };
};
const complete = (gateway: GatewayUnderTest, requestId: string) =>
  createGatewayClients(gateway.url).complete({
    ...{ kind: "unary", text: "Hello.", model: MODEL, secret: ADMIN_KEY, requestId },
  });
const withName = (url: string, name: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href;

test("without its database it is live, not ready and spends nothing; once the database answers it serves by itself", async () => {
  const url = await postgres.createDatabase();
  await postgres.stop();
  const gateway = await start(url);
  const calls = simulator.bill.lines.length;
  expect((await get(gateway, "/health/live")).status).toBe(200);
  for (const path of ["/health", "/health/ready"]) {
    const checks = { database: "failing", ledger: "failing" };
    expect(await get(gateway, path)).toMatchObject({ status: 503, body: { status: "unavailable", checks } });
  }
  expect((await complete(gateway, "too-early")).reason).toBe("LEDGER_UNAVAILABLE");
  expect((await failureOf(createKey(createFetchClient(gateway.url)))).reason).toBe("LEDGER_UNAVAILABLE");
  const report = await fetch(`${gateway.url}/v1/costs`, { headers: { "x-api-key": ADMIN_KEY } });
  expect(report.status).toBe(503);
  expect(simulator.bill.lines.length).toBe(calls);

  await postgres.start();
  const answersAtMs = performance.now();
  await expect
    .poll(async () => (await get(gateway, "/health/ready")).status, {
      timeout: RECOVERY_LIMIT_MS,
      interval: 50,
    })
    .toBe(200);
  expect(performance.now() - answersAtMs).toBeLessThan(RECOVERY_LIMIT_MS);
  expect((await complete(gateway, "in-time")).reason).toBeUndefined();
  await gateway.createKey();
  expect((await get(gateway, "/health")).body).toMatchObject({ checks: { database: "ok", ledger: "ok" } });
  const { costs } = createGatewayClients(gateway.url);
  await expect
    .poll(async () => (await costs(ADMIN_KEY).costQuery({})).totals, { timeout: RECOVERY_LIMIT_MS })
    .toMatchObject({ attempts: 1n, requests: 1n });
  expect(await gateway.stop()).toBe(0);
}, 60_000);

test("what a killed process left in its journal is on the ledger after a start without the database", async () => {
  const url = await postgres.createDatabase();
  const dataDir = mkdtempSync(join(tmpdir(), "llm-gateway-absent-"));
  const first = await start(url, dataDir);
  expect((await complete(first, "before")).reason).toBeUndefined();
  await postgres.stop();
  // From the journal: the schema is known.
  expect((await complete(first, "meanwhile")).reason).toBeUndefined();
  first.process.signal("SIGKILL");
  await first.process.exited;
  await first.stop();

  const second = await start(url, dataDir);
  expect((await complete(second, "too-early")).reason).toBe("LEDGER_UNAVAILABLE");
  await postgres.start();
  const attempts = async () =>
    (
      await createGatewayClients(second.url)
        .costs(ADMIN_KEY)
        .costQuery({})
        .catch(() => undefined)
    )?.totals?.attempts;
  await expect.poll(attempts, { timeout: RECOVERY_LIMIT_MS }).toBe(2n);
  expect(await second.stop()).toBe(0);
  rmSync(dataDir, { recursive: true });
}, 60_000);

test.each([
  [
    "a wrong password",
    (url: string) => url.replace("gateway:gateway@", "gateway:wrong@"),
    /password authentication failed/,
  ],
  ["an unknown database", (url: string) => withName(url, "nowhere"), /database "nowhere" does not exist/],
])("%s ends the process with the reason", async (_what, change, reason) => {
  await expect(start(change(postgres.url))).rejects.toThrow(reason);
});

test("a schema that turns out to be newer ends the process with the reason, and nothing was spent", async () => {
  const url = await postgres.createDatabase();
  expect(await (await start(url)).stop()).toBe(0);
  const database = await openDatabase({ url, entities: allEntities });
  await database.query("INSERT INTO mikro_orm_migrations (name) VALUES ('Migration9999Future')");
  await database.close();
  await expect(start(url)).rejects.toThrow(/newer version of llm-gateway .*Migration9999Future/);

  await postgres.stop();
  const gateway = await start(url);
  const calls = simulator.bill.lines.length;
  expect((await complete(gateway, "too-early")).reason).toBe("LEDGER_UNAVAILABLE");
  await postgres.start();
  expect(await gateway.process.exited).toBe(1);
  expect(gateway.process.output()).toMatch(/newer version of llm-gateway .*Migration9999Future/);
  expect(simulator.bill.lines.length).toBe(calls);
  await gateway.stop();
}, 60_000);
