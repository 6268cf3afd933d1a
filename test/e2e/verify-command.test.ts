import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openDatabase } from "../../src/db/open-database.ts";
import { allEntities } from "../support/databases.ts";
import { ADMIN_KEY, startGatewayProcess } from "../support/gateway-process.ts";
import { startPostgres } from "../support/postgres.ts";

const COMMAND = join(import.meta.dirname, "../../src/verify.ts");
const PEPPER = "pepper-0123456789abcdef0123456789abcdef";
const folder = mkdtempSync(join(tmpdir(), "llm-gateway-verify-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `npm run verify` as npm does. */
async function verify(env: Readonly<Record<string, string>>, ...parameters: readonly string[]) {
  const child = spawn(process.execPath, [COMMAND, ...parameters], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output };
}

/** Two calls against the bundled simulator. */
async function callTwice(url: string): Promise<void> {
  for (const text of ["one", "two"]) {
    const response = await fetch(`${url}/llmgateway.v1.CompletionService/Complete`, {
      method: "POST",
      headers: { "x-api-key": ADMIN_KEY, "content-type": "application/json" },
      body: JSON.stringify({ model: "gpt-5-mini", messages: [{ role: "ROLE_USER", parts: [{ text }] }] }),
    });
    expect(response.status).toBe(200);
  }
}

test("the command checks the embedded books, alive, after a kill, and once tampered with", async () => {
  const dataDir = join(folder, "embedded");
  const env = { DATA_DIR: dataDir };
  expect(await verify(env)).toEqual({ code: 2, output: expect.stringContaining("there are no books") });

  const gateway = await startGatewayProcess({ dataDir });
  await callTwice(gateway.url);
  // The demonstration makes a call of its own, with retries.
  await expect.poll(() => gateway.output(), { timeout: 10_000 }).toContain("export GATEWAY_KEY=");
  const inUse = await verify(env);
  expect(inUse).toEqual({ code: 2, output: expect.stringContaining("npm run verify -- --url") });
  const asked = await verify({ ADMIN_KEY }, "--url", gateway.url);
  expect(asked.output).toMatch(/attempts_complete +3 +0 +0\n/);
  expect(asked).toEqual({ code: 0, output: expect.stringContaining("The books agree.") });
  expect((await verify({ GATEWAY_KEY: "gw_live_nobody" }, "--url", gateway.url)).code).toBe(2);
  gateway.signal("SIGKILL");
  await gateway.exited;

  const whole = await verify(env);
  expect(whole.output).toContain("The books agree.");
  expect(whole.code).toBe(0);
  const database = await openDatabase({ dataDir, entities: allEntities });
  await database.query("UPDATE cost_rollup_hourly SET tokens_out = tokens_out + 1000000");
  await database.close();
  const tampered = await verify(env, "--start", "2026-01-01T00:00:00Z");
  expect(tampered.code).toBe(1);
  expect(tampered.output).toMatch(
    /records_equal_cost_rollup_hourly: .* openai gpt-5-mini\n {2}expected {2}tokens_out /,
  );
}, 120_000);

test("the command checks PostgreSQL with the journal of its directory, and without one says so", async () => {
  const postgres = await startPostgres();
  try {
    const env = { DATABASE_URL: await postgres.createDatabase(), KEY_PEPPER: PEPPER };
    const dataDir = join(folder, "postgres");
    const old = await verify({ ...env, DATA_DIR: dataDir });
    expect(old).toEqual({ code: 2, output: expect.stringContaining("older version") });
    const gateway = await startGatewayProcess({ dataDir, env });
    await callTwice(gateway.url);
    expect((await verify({ ...env, DATA_DIR: dataDir })).code).toBe(2);
    expect(await gateway.stop()).toBe(0);
    expect((await verify({ ...env, DATA_DIR: dataDir })).output).toContain("journal_in_records");
    const elsewhere = await verify({ ...env, DATA_DIR: join(folder, "elsewhere") });
    expect(elsewhere).toEqual({ code: 0, output: expect.stringContaining("There is no journal") });
  } finally {
    await postgres.close();
  }
}, 120_000);
