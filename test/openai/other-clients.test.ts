import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HumanMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { APICallError, embedMany, generateText, Output, streamText, tool } from "ai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { vectorOf } from "../../simulator/embeddings.ts";
import { EMBEDDING_MODEL } from "../support/gateway-under-test.ts";
import { question, useOpenAiBench } from "../support/openai-bench.ts";

/** Clients that others made for OpenAI's API, unmodified. */

const bench = useOpenAiBench();
const MODEL = "openai/sim-model";
const WEATHER = z.object({ city: z.string() });
const TOOL_CALL = { name: "get_weather", arguments: { city: "Oslo" } };

const expectedVector = (text: string) => [...vectorOf("sim-embedding", text, 16)];

describe("the AI SDK", () => {
  const model = (name = MODEL) =>
    createOpenAICompatible({
      ...{ name: "gateway", baseURL: bench().baseURL, apiKey: bench().key.secret },
      ...{ includeUsage: true, supportsStructuredOutputs: true },
    }).chatModel(name);

  it("generates text, with its usage", async () => {
    const { text } = question({ text: "The sky is blue." });
    const result = await generateText({ model: model(), prompt: text });
    expect(result.text).toBe("The sky is blue.");
    expect(result.usage.outputTokens).toBeGreaterThan(0);
    expect(result.response.headers?.["x-llm-gateway-provider"]).toBe("openai");
  });

  it("streams text, with its usage", async () => {
    const { text } = question({ text: "one two three" });
    const result = streamText({ model: model(), prompt: text });
    let streamed = "";
    for await (const part of result.textStream) streamed += part;
    expect(streamed).toBe("one two three");
    expect((await result.usage).outputTokens).toBe(4);
    expect(await result.finishReason).toBe("stop");
  });

  it("calls tools, and goes on", async () => {
    const { text } = question({ toolCall: TOOL_CALL, times: 1 });
    const getWeather = tool({ inputSchema: WEATHER, execute: ({ city }) => `4 °C in ${city}` });
    const tools = { get_weather: getWeather };
    const result = await generateText({ model: model(), prompt: text, tools });
    expect(result.toolResults).toMatchObject([{ input: { city: "Oslo" }, output: "4 °C in Oslo" }]);
  });

  it("makes objects of a schema", async () => {
    const { text } = question();
    const output = Output.object({ schema: WEATHER });
    const result = await generateText({ model: model(), prompt: text, output });
    expect(WEATHER.safeParse(result.output).success).toBe(true);
  });

  it("sees errors as what they are", async () => {
    const error = await generateText({ model: model("no-such"), prompt: "Hi" }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(APICallError);
    expect(error).toMatchObject({ statusCode: 404, isRetryable: false });
  });

  it("embeds many texts, with their usage", async () => {
    const values = [question().text, question().text];
    const { baseURL, key } = bench();
    const provider = createOpenAICompatible({ name: "gateway", baseURL, apiKey: key.secret });
    const embeddingModel = provider.embeddingModel(EMBEDDING_MODEL);
    const { embeddings, usage } = await embedMany({ model: embeddingModel, values });
    expect(embeddings).toEqual(values.map(expectedVector));
    expect(usage.tokens).toBeGreaterThan(0);
  });

  it("sees a stream that breaks", async () => {
    const { text } = question({ tokensOut: 8, tokenDelayMs: 5, cutAfterTokens: 3 });
    const errors: unknown[] = [];
    const result = streamText({
      model: model(),
      prompt: text,
      onError: ({ error }) => void errors.push(error),
    });
    await result.consumeStream();
    expect(errors).toHaveLength(1);
  });
});

describe("LangChain", () => {
  const model = (name = MODEL) =>
    new ChatOpenAI({
      ...{ model: name, apiKey: bench().key.secret, maxRetries: 0 },
      configuration: { baseURL: bench().baseURL },
    });

  it("invokes a model, with its usage", async () => {
    const { text } = question({ text: "The sky is blue." });
    const answer = await model().invoke([new HumanMessage(text)]);
    expect(answer.text).toBe("The sky is blue.");
    expect(answer.usage_metadata?.output_tokens).toBeGreaterThan(0);
  });

  it("streams", async () => {
    const { text } = question({ text: "one two three" });
    let streamed = "";
    let tokensOut = 0;
    for await (const chunk of await model().stream([new HumanMessage(text)])) {
      streamed += chunk.text;
      tokensOut += chunk.usage_metadata?.output_tokens ?? 0;
    }
    expect(streamed).toBe("one two three");
    expect(tokensOut).toBe(4);
  });

  it("binds tools", async () => {
    const { text } = question({ toolCall: TOOL_CALL });
    const getWeather = langchainTool(() => "", {
      name: "get_weather",
      description: "Weather",
      schema: WEATHER,
    });
    const answer = await model()
      .bindTools([getWeather])
      .invoke([new HumanMessage(text)]);
    expect(answer.tool_calls).toMatchObject([{ name: "get_weather", args: { city: "Oslo" } }]);
  });

  it("makes objects of a schema", async () => {
    const { text } = question();
    const answer = await model()
      .withStructuredOutput(WEATHER, { method: "jsonSchema" })
      .invoke([new HumanMessage(text)]);
    expect(WEATHER.safeParse(answer).success).toBe(true);
  });

  it("sees errors as what they are", async () => {
    const error = await model("no-such")
      .invoke("Hi")
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ status: 404 });
  });

  it("embeds queries and documents", async () => {
    const { baseURL, key } = bench();
    const embeddings = new OpenAIEmbeddings({
      ...{ model: EMBEDDING_MODEL, apiKey: key.secret, maxRetries: 0, stripNewLines: false },
      configuration: { baseURL },
    });
    const documents = [question().text, question().text];
    expect(await embeddings.embedDocuments(documents)).toEqual(documents.map(expectedVector));
    expect(await embeddings.embedQuery(documents[0] ?? "")).toEqual(expectedVector(documents[0] ?? ""));
  });
});

describe("LangChain by way of the Responses API", () => {
  const model = (name = MODEL) =>
    new ChatOpenAI({
      ...{ model: name, apiKey: bench().key.secret, maxRetries: 0, useResponsesApi: true },
      configuration: { baseURL: bench().baseURL },
    });

  it("invokes a model, with its usage", async () => {
    const { marker, text } = question({ text: "The sky is blue." });
    const answer = await model().invoke([new HumanMessage(text)]);
    expect(answer.text).toBe("The sky is blue.");
    expect(answer.usage_metadata?.output_tokens).toBeGreaterThan(0);
    expect(bench().requestsOf(marker)[0]?.body).toHaveProperty("input");
  });

  it("streams", async () => {
    const { text } = question({ text: "one two three" });
    let streamed = "";
    for await (const chunk of await model().stream([new HumanMessage(text)])) streamed += chunk.text;
    expect(streamed).toBe("one two three");
  });

  it("binds tools", async () => {
    const { text } = question({ toolCall: TOOL_CALL });
    const fields = { name: "get_weather", description: "Weather", schema: WEATHER };
    const answer = await model()
      .bindTools([langchainTool(() => "", fields)])
      .invoke([new HumanMessage(text)]);
    expect(answer.tool_calls).toMatchObject([{ name: "get_weather", args: { city: "Oslo" } }]);
  });

  it("sees errors as what they are", async () => {
    const error = await model("no-such")
      .invoke("Hi")
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ status: 404 });
  });
});
