import { afterAll, beforeAll, expect, test } from "vitest";
import { costPicoUsd } from "../../simulator/prices.ts";
import { createGatewayClients } from "../support/completion-client.ts";
import {
  directive,
  FALLBACK_MODEL,
  type GatewayUnderTest,
  HUGGINGFACE_MODEL,
  startGatewayUnderTest,
  usd,
} from "../support/gateway-under-test.ts";

/** HuggingFace bills what it is not asked to finish: whoever loses there is read to its end. */

let gateway: GatewayUnderTest;
beforeAll(async () => {
  const candidates = [HUGGINGFACE_MODEL, FALLBACK_MODEL];
  gateway = await startGatewayUnderTest({
    models: { hedged: { strategy: "ordered", candidates, hedge_after_ms: 100 } },
  });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
});

test("the answer waits for nobody, and what the loser came to is corrected to its bill", async () => {
  const slow = directive("huggingface", { latencyMs: 1_500, tokensOut: 9 });
  const { costs, complete } = createGatewayClients(gateway.url);
  const { provider, elapsedMs, attempts, requestId } = await complete({
    ...{ kind: "unary", secret: gateway.adminKey, requestId: "hedged-drain-1", model: "hedged" },
    text: `Hello. request=hedged-drain-1 ${slow} ${directive("deepseek", { text: "fast" })}`,
  });
  expect(provider).toBe("deepseek");
  expect(elapsedMs).toBeLessThan(1_500);
  const entriesOfLoser = async () => {
    const { records } = await costs(gateway.adminKey).listCostRecords({ pageSize: 100 });
    return records.filter(({ attemptId }) => attemptId === attempts[0]?.attemptId);
  };
  await expect.poll(async () => (await entriesOfLoser()).length, { interval: 20, timeout: 8_000 }).toBe(3);
  const [line] = (await gateway.billOf(requestId)).filter(({ personality }) => personality === "huggingface");
  if (!line) throw new Error("the loser is not on the bill");
  expect(line.state).toBe("completed");
  const inForce = (await entriesOfLoser()).find(({ cost, usage }) => usage?.tokensOut === 9n && cost);
  expect(inForce?.cost?.costUsd).toBe(usd(costPicoUsd(line.personality, line.model, line) ?? 0n));
  expect(inForce?.flags).toContain("HEDGE_LOST");
});
