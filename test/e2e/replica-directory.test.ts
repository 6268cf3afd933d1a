import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startSimulator } from "../../simulator/simulator.ts";
import { createGatewayClients } from "../support/completion-client.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { MODEL, startGatewayUnderTest } from "../support/gateway-under-test.ts";
import { startPostgres } from "../support/postgres.ts";

test("with PostgreSQL, too, a data directory belongs to one process, and replicas read each other's costs", async () => {
  const postgres = await startPostgres();
  const simulator = await startSimulator();
  const [dataDir, otherDir] = [1, 2].map(() => mkdtempSync(join(tmpdir(), "llm-gateway-replica-")));
  if (!dataDir || !otherDir) throw new Error("two directories");
  const env = { DATABASE_URL: postgres.url, KEY_PEPPER: "a-pepper-of-thirty-two-characters-or-more" };
  const first = await startGatewayUnderTest({ dataDir, simulator, env });
  await expect(startGatewayUnderTest({ dataDir, simulator, env })).rejects.toThrow(
    "is in use by another process",
  );
  const second = await startGatewayUnderTest({ dataDir: otherDir, simulator, env });
  const [here, there] = [createGatewayClients(first.url), createGatewayClients(second.url)];
  const call = { kind: "unary", text: "Hello.", model: MODEL, secret: ADMIN_KEY } as const;
  for (let count = 1n; count <= 5n; count++) {
    const { reason } = await here.complete({ ...call, requestId: `request-${count}` });
    expect(reason).toBeUndefined();
    expect((await here.costs(ADMIN_KEY).costQuery({})).totals?.attempts).toBe(count);
    const attempts = async () => (await there.costs(ADMIN_KEY).costQuery({})).totals?.attempts;
    await expect.poll(attempts).toBe(count);
  }
  expect([await first.stop(), await second.stop()]).toEqual([0, 0]);
  await simulator.close();
  await postgres.close();
  for (const directory of [dataDir, otherDir]) rmSync(directory, { recursive: true });
}, 60_000);
