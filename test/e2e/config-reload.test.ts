import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { type CompletionOutcome, createGatewayClients } from "../support/completion-client.ts";
import { ADMIN_KEY, type GatewayProcess, startGatewayProcess } from "../support/gateway-process.ts";
import { directive } from "../support/gateway-under-test.ts";

let folder: string;
let simulator: Simulator;
let gateway: GatewayProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "llm-gateway-reload-"));
  simulator = await startSimulator();
  writeFileSync(keyFile(), "key-of-before");
  writeConfig({ models: { smart: ["one/sim-model", "two/sim-model"] } });
  gateway = await startGatewayProcess({
    env: { CONFIG_FILE: join(folder, "gateway.yaml"), KEY_OF_ONE_FILE: keyFile(), KEY_OF_TWO: "key-of-two" },
  });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  await simulator.close();
  rmSync(folder, { recursive: true });
});

const keyFile = () => join(folder, "key-of-one");

function writeConfig(changes: Readonly<Record<string, unknown>>): void {
  const provider = (variable: string) => ({
    profile: "openai",
    base_url: simulator.baseUrl("openai"),
    api_key_env: variable,
  });
  const providers = { one: provider("KEY_OF_ONE"), two: provider("KEY_OF_TWO") };
  writeFileSync(join(folder, "gateway.yaml"), JSON.stringify({ providers, default_chain: [], ...changes }));
}

/** Sends the signal and returns the line that says what came of it. */
async function reload(event: "config_reloaded" | "config_refused"): Promise<Record<string, unknown>> {
  const lines = () =>
    gateway
      .output()
      .split("\n")
      .filter((line) => line.includes(`"${event}"`));
  const before = lines().length;
  gateway.signal("SIGHUP");
  await expect.poll(() => lines().length).toBe(before + 1);
  return JSON.parse(lines().at(-1) ?? "");
}

let calls = 0;
function complete(text = "", model = "smart"): Promise<CompletionOutcome> {
  calls += 1;
  const requestId = `reload-${calls}`;
  return createGatewayClients(gateway.url).complete({
    ...{ kind: "unary", secret: ADMIN_KEY, requestId, model },
    text: `Hello. request=${requestId} ${text}`,
  });
}

test("a disabled provider is left out from the next call on, and calls under way end as they began", async () => {
  expect((await complete()).provider).toBe("one");
  const slow = complete(directive("openai", { latencyMs: 1_000 }));
  await expect.poll(() => simulator.requests.recent().length).toBe(2);
  writeConfig({ models: { smart: ["one/sim-model", "two/sim-model"] }, disabled: ["one"] });
  expect(await reload("config_reloaded")).toMatchObject({ need_restart: [] });
  expect((await complete()).provider).toBe("two");
  expect((await complete("", "one/sim-model")).reason).toBe("MODEL_NOT_FOUND");
  expect((await slow).provider).toBe("one");
});

test("a route hedges from the next call on", async () => {
  const candidates = ["one/sim-model", "two/sim-model"];
  const slowOnce = directive("openai", { latencyMs: 1_500, times: 1 });
  writeConfig({ models: { smart: { strategy: "ordered", candidates } } });
  await reload("config_reloaded");
  expect((await complete(slowOnce)).provider).toBe("one");
  writeConfig({ models: { smart: { strategy: "ordered", candidates, hedge_after_ms: 100 } } });
  await reload("config_reloaded");
  const { provider, attempts } = await complete(slowOnce);
  expect([provider, attempts.length]).toEqual(["two", 2]);
  writeConfig({ models: { smart: candidates }, disabled: ["one"] });
  await reload("config_reloaded");
});

test("a wrong file changes nothing and says why", async () => {
  writeConfig({ models: { smart: ["nobody/model-without-provider", 7] } });
  const line = await reload("config_refused");
  expect(JSON.stringify(line.issues)).toContain("models.smart");
  writeConfig({
    models: { smart: ["one/sim-model"] },
    prices: [{ provider: "one", model: "x", input: "cheap" }],
  });
  expect(JSON.stringify((await reload("config_refused")).issues)).toContain("prices.0");
  expect((await complete()).provider).toBe("two");
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toContain('llm_gateway_config_reloads_total{outcome="applied"} 4');
  expect(metrics).toContain('llm_gateway_config_reloads_total{outcome="refused"} 2');
});

test("a new alias, its price and a rotated provider key take effect", async () => {
  writeFileSync(keyFile(), "key-of-after");
  writeConfig({
    models: { fresh: { strategy: "weighted", candidates: [{ model: "one/sim-model", weight: 1 }] } },
    prices: [{ provider: "one", model: "sim-model", input: "1", output: "2" }],
  });
  await reload("config_reloaded");
  const { provider, cost, usage, requestId } = await complete("", "fresh");
  expect(provider).toBe("one");
  const tokensIn = usage?.tokensIn ?? 0n;
  const tokensOut = usage?.tokensOut ?? 0n;
  expect(BigInt((cost?.costUsd ?? "").replace(".", ""))).toBe(1_000_000n * (tokensIn + 2n * tokensOut));
  const sent = simulator.requests.recent().find(({ body }) => JSON.stringify(body).includes(requestId));
  const first = simulator.requests.recent()[0];
  expect(sent?.headers.authorization).not.toBe(first?.headers.authorization);
  expect((await complete("", "smart")).reason).toBe("MODEL_NOT_FOUND");
});

test("a context window that is stated decides where an input goes that is too long for the first model", async () => {
  const models = { smart: ["one/sim-model", "two/larger-model"] };
  const refused = directive("openai", { status: 400, errorCode: "context_length_exceeded", times: 1 });
  writeConfig({ models });
  await reload("config_reloaded");
  expect((await complete(refused)).reason).toBe("CONTEXT_TOO_LONG");
  writeConfig({ models, context_windows: { "one/sim-model": 8_000, "two/larger-model": 32_000 } });
  expect(await reload("config_reloaded")).toMatchObject({ need_restart: [] });
  expect((await complete(refused)).provider).toBe("two");
});
