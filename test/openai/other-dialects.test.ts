import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { EmbeddingPurpose, EmbeddingService } from "../../gen/es/llmgateway/v1/embedding_pb.ts";
import { vectorOf } from "../../simulator/embeddings.ts";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { decodeVector } from "../../src/core/vector-codec.ts";
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

describe("embeddings of a provider that speaks another dialect", () => {
  const model = "gemini/sim-embedding";

  it("come in OpenAI's words, in the encoding that was asked for", async () => {
    const texts = [question({}, "gemini").text, question({}, "gemini").text];
    const expected = texts.map((text) => [...vectorOf("sim-embedding", text, 8)]);
    for (const encoding_format of ["float", "base64", undefined] as const) {
      const body = { model, input: texts, dimensions: 8, ...(encoding_format && { encoding_format }) };
      const { data, response } = await client.embeddings
        .create({ ...body, user: "u-1", ...{ future: 1 } })
        .withResponse();
      const vectors = data.data.map(({ embedding }) =>
        typeof embedding === "string" ? [...decodeVector(embedding)] : embedding,
      );
      expect(vectors).toEqual(expected);
      expect(data).toMatchObject({ object: "list", model: "sim-embedding" });
      expect(data.usage.prompt_tokens).toBeGreaterThan(0);
      expect(response.headers.get("x-llm-gateway-ignored")).toBe("future");
    }
  });

  it("are the next provider's when tokens are given, which Gemini does not take", async () => {
    const body = { model, input: [1, 2], fallback_models: ["openai/sim-embedding"] };
    const { response } = await client.embeddings.create(body).withResponse();
    expect(response.headers.get("x-llm-gateway-provider")).toBe("openai");
    const alone = client.embeddings.create({ model, input: [1, 2] });
    await expect(alone).rejects.toMatchObject({ status: 400, param: "input" });
  });

  it("come over gRPC as well, with a purpose", async () => {
    const embeddings = createClient(EmbeddingService, createGrpcTransport({ baseUrl: gateway.url }));
    const { text, marker } = question({}, "gemini");
    const headers = { authorization: `Bearer ${gateway.adminKey}` };
    const request = { model, texts: [text], purpose: EmbeddingPurpose.QUERY };
    const answer = await embeddings.embed(request, { headers });
    expect(answer.embeddings.map(({ values }) => values)).toEqual([[...vectorOf("sim-embedding", text, 16)]]);
    expect(gateway.requestsOf(marker)[0]?.body).toMatchObject({
      requests: [{ taskType: "RETRIEVAL_QUERY" }],
    });
  });
});
