import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";
import { expectBillIsLedger, question, user } from "../support/openai-bench.ts";

/** OpenAI's client in front of providers that do not speak its dialect. After each test the bill is the ledger. */

let simulator: Simulator;
let gateway: GatewayUnderTest;
let client: OpenAI;

beforeAll(async () => {
  simulator = await startSimulator();
  gateway = await startGatewayUnderTest({
    simulator,
    env: {
      ...{ ANTHROPIC_API_KEY: "key-of-anthropic", ANTHROPIC_BASE_URL: simulator.baseUrl("anthropic") },
      ...{ GEMINI_API_KEY: "key-of-gemini", GEMINI_BASE_URL: simulator.baseUrl("gemini") },
    },
  });
  const { secret } = await gateway.createKey();
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: secret, maxRetries: 0 });
});
afterEach(() => expectBillIsLedger(gateway));
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  await simulator.close();
});

const TOOL = { type: "function", function: { name: "get_weather", parameters: { type: "object" } } } as const;

describe.each(["anthropic", "gemini"] as const)("a provider that speaks %s's dialect", (provider) => {
  const model = `${provider}/sim-model`;

  it("answers in OpenAI's words, and what it could not be told is named", async () => {
    const { text } = question({ text: "Grüße, 日本", cachedTokensIn: 3 }, provider);
    const { data, response } = await client.chat.completions
      .create({ model, messages: [user(text)], top_logprobs: 2 })
      .withResponse();
    expect(data).toMatchObject({
      object: "chat.completion",
      choices: [{ finish_reason: "stop", message: { role: "assistant", content: "Grüße, 日本" } }],
      usage: { prompt_tokens_details: { cached_tokens: 3 } },
    });
    expect(response.headers.get("x-llm-gateway-ignored")).toBe("top_logprobs");
    expect(response.headers.get("x-llm-gateway-provider")).toBe(provider);
  });

  it("streams text and tool calls", async () => {
    const { text } = question({ toolCall: { name: "get_weather", arguments: { city: "Oslo" } } }, provider);
    const stream = client.chat.completions.stream({
      ...{ model, messages: [user(text)], tools: [TOOL], stream_options: { include_usage: true } },
    });
    const { choices, usage } = await stream.finalChatCompletion();
    expect(choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: { tool_calls: [{ function: { name: "get_weather", arguments: '{"city":"Oslo"}' } }] },
    });
    expect(usage?.prompt_tokens).toBeGreaterThan(0);
  });

  it("is no fallback for a request that it cannot be told in full", async () => {
    const { marker, text } = question({ status: 500 });
    const audio = { type: "input_audio" as const, input_audio: { data: "UklGRg==", format: "wav" as const } };
    const body = {
      ...{ model: "openai/sim-model", fallback_models: [model] },
      messages: [{ role: "user" as const, content: [{ type: "text" as const, text }, audio] }],
    };
    await expect(client.chat.completions.create(body)).rejects.toBeInstanceOf(OpenAI.APIError);
    expect(gateway.requestsOf(marker).every(({ headers }) => headers.authorization !== undefined)).toBe(true);
    await expect(client.chat.completions.create({ ...body, model })).rejects.toMatchObject({
      ...{ status: 400, param: "messages[0].content[1]" },
    });
  });
});
