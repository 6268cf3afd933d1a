import Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { type CreatedKey, type GatewayUnderTest, startGatewayUnderTest } from "./gateway-under-test.ts";
import { expectBillIsLedger } from "./openai-bench.ts";

/** A running gateway with every dialect behind it, and Anthropic's client, which knows its address and a key. */
export interface AnthropicBench extends GatewayUnderTest {
  readonly key: CreatedKey;
  /** The official client as its users make it. */
  client(options?: Partial<ConstructorParameters<typeof Anthropic>[0]>): Anthropic;
  /** Any request to `/v1/messages`, or another path, as it is. */
  post(body: unknown, headers?: Readonly<Record<string, string>>, path?: string): Promise<Response>;
}

/** One gateway for the tests of a file. After each of them the whole ledger must be the simulator's whole bill. */
export function useAnthropicBench(env: Readonly<Record<string, string>> = {}): () => AnthropicBench {
  let simulator: Simulator | undefined;
  let bench: AnthropicBench | undefined;
  const get = () => {
    if (!bench) throw new Error("the bench is not running");
    return bench;
  };
  beforeAll(async () => {
    simulator = await startSimulator();
    const gateway = await startGatewayUnderTest({
      simulator,
      env: {
        ...{ ANTHROPIC_API_KEY: "key-of-anthropic", ANTHROPIC_BASE_URL: simulator.baseUrl("anthropic") },
        ...{ GEMINI_API_KEY: "key-of-gemini", GEMINI_BASE_URL: simulator.baseUrl("gemini") },
        ...env,
      },
    });
    const key = await gateway.createKey();
    bench = {
      ...gateway,
      key,
      client: (options = {}) => new Anthropic({ baseURL: gateway.url, apiKey: key.secret, ...options }),
      post: (body, headers = {}, path = "/v1/messages") =>
        fetch(`${gateway.url}${path}`, {
          method: "POST",
          headers: { "x-api-key": key.secret, "content-type": "application/json", ...headers },
          body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
        } as RequestInit),
    };
  });
  afterEach(async () => {
    await expectBillIsLedger(get());
  });
  afterAll(async () => {
    if (bench) {
      expect(await bench.stop()).toBe(0);
      // Every question is marked: none of them, and so no prompt, is in a line of the log.
      expect(bench.process.output()).not.toContain("question=");
    }
    await simulator?.close();
  });
  return get;
}
