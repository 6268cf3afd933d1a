import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { startSimulator } from "../../simulator/simulator.ts";
import { type CompletionOptions, createGatewayClients } from "../support/completion-client.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import {
  directive,
  type GatewayUnderTest,
  MODEL,
  startGatewayUnderTest,
} from "../support/gateway-under-test.ts";
import { startPostgres } from "../support/postgres.ts";

test("a call that died with its replica is refused by the others as soon as that is back, with its attempts", async () => {
  const postgres = await startPostgres();
  const simulator = await startSimulator();
  const dataDir = mkdtempSync(join(tmpdir(), "llm-gateway-restart-"));
  const env = { DATABASE_URL: postgres.url, KEY_PEPPER: "a-pepper-of-thirty-two-characters-or-more" };
  const first = await startGatewayUnderTest({ dataDir, simulator, env });
  const second = await startGatewayUnderTest({ simulator, env });
  // With this deadline the call runs, for all that the others know, for two minutes: longer than anybody waits here.
  const call: CompletionOptions = {
    ...{ kind: "unary", requestId: "request-1", model: MODEL, secret: ADMIN_KEY, timeoutMs: 60_000 },
    text: `Hello. request-1 ${directive("openai", { latencyMs: 60_000 })}`,
  };
  const ask = (gateway: GatewayUnderTest) => createGatewayClients(gateway.url).complete(call);
  const cut = ask(first);
  await expect.poll(() => first.requestsOf(call.requestId).length).toBe(1);
  const waiting = ask(second);
  first.process.signal("SIGKILL");
  await first.process.exited;
  expect((await cut).reason).toBeDefined();
  await first.stop();

  const restarted = await startGatewayUnderTest({ dataDir, simulator, env });
  const told = [await waiting, await ask(second), await ask(restarted)];
  for (const { reason, replayed, attempts } of told) {
    expect({ reason, replayed }).toEqual({ reason: "REQUEST_OUTCOME_UNKNOWN", replayed: true });
    expect(attempts).toMatchObject([{ provider: "openai", billingState: BillingState.UNKNOWN }]);
    expect(attempts).toEqual(told[0]?.attempts);
  }
  expect(await restarted.billOf(call.requestId)).toHaveLength(1);
  expect([await restarted.stop(), await second.stop()]).toEqual([0, 0]);
  await simulator.close();
  await postgres.close();
  rmSync(dataDir, { recursive: true });
}, 120_000);
