import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GatewayProcess, startGatewayProcess } from "../support/gateway-process.ts";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);

/** What a person sees of the demo's completion. */
function expectDemonstration(output: string): void {
  expect(output).toMatch(/llm-gateway listening on http:\/\/127\.0\.0\.1:\d+/);
  expect(output).toContain("DEMO MODE");
  expect(output).toMatch(/answer {4}Because air scatters blue light more than red\./);
  expect(output).toMatch(/answered {2}deepseek\/deepseek-flash/);
  expect(output).toMatch(/usage {5}\d+ tokens in, 12 out/);
  expect(output).toMatch(/cost {6}0\.\d{12} USD/);
  expect(output).toMatch(/1\. openai\/gpt-5-mini: failed \(PROVIDER_\w+\), NOT_BILLED, 0\.000000000000 USD/);
  expect(output).toMatch(/\d\. deepseek\/deepseek-flash: succeeded, SETTLED, 0\.\d{12} USD/);
  expect(output).toMatch(/export GATEWAY_KEY=gw_live_\S+/);
}

describe("npm run demo", () => {
  it("shows a completion with a fallback, its cost and how to go on, and exits 0", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "llm-gateway-demo-"));
    const { stdout } = await run("npm", ["run", "--silent", "demo"], {
      cwd: ROOT,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: "0", DATA_DIR: dataDir },
      timeout: 60_000,
    });
    rmSync(dataDir, { recursive: true, force: true });
    expectDemonstration(stdout);
    expect(stdout).toContain("buf curl --protocol grpc");
    expect(stdout).toContain("/v1/costs");
  }, 60_000);
});

describe("npm start without a provider key", () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = await startGatewayProcess();
  });
  afterAll(() => gateway.stop());

  it("stays up and prints commands that work when they are pasted into a shell", async (context) => {
    if (spawnSync("curl", ["--version"]).status !== 0) return context.skip("curl is not installed");
    await expect.poll(() => gateway.output(), { timeout: 20_000 }).toContain("API documentation:");
    expectDemonstration(gateway.output());
    const key = /export GATEWAY_KEY=(\S+)/.exec(gateway.output())?.[1] ?? "";
    const commands = gateway
      .output()
      .replaceAll("\\\n", " ")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => /^(npx buf curl|curl) /.test(line));
    expect(commands).toHaveLength(4);
    const answers: unknown[] = [];
    for (const command of commands) {
      const { stdout } = await run("bash", ["-c", command], {
        cwd: ROOT,
        env: { PATH: process.env.PATH, HOME: process.env.HOME, GATEWAY_KEY: key },
        timeout: 30_000,
      });
      answers.push(JSON.parse(stdout));
    }
    const completion = {
      choices: [{ message: { parts: [{ text: expect.stringMatching(/^w00 /) }] } }],
      cost: { costUsd: expect.stringMatching(/^0\.\d{12}$/) },
    };
    expect(answers).toMatchObject([
      completion,
      completion,
      { object: "chat.completion", choices: [{ message: { content: expect.stringMatching(/^w00 /) } }] },
      {
        by_provider: expect.arrayContaining([expect.objectContaining({ provider: "deepseek", requests: 1 })]),
      },
    ]);
  }, 60_000);
});
