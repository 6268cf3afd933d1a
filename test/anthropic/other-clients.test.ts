import { createAnthropic } from "@ai-sdk/anthropic";
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { APICallError, generateText, Output, streamText, tool } from "ai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { useAnthropicBench } from "../support/anthropic-bench.ts";
import { question } from "../support/openai-bench.ts";

/** Clients that others made for Anthropic's API, unmodified; they check what they read, or build on older versions of it. */

const bench = useAnthropicBench();
const WEATHER = z.object({ city: z.string() });
const TOOL_CALL = { name: "get_weather", arguments: { city: "Oslo" } };

describe.each(["anthropic", "openai", "deepseek"] as const)("the AI SDK in front of %s", (provider) => {
  const model = (name = `${provider}/sim-model`) =>
    createAnthropic({ baseURL: `${bench().url}/v1`, apiKey: bench().key.secret })(name);
  const asked = (prompt: string) => ({ model: model(), prompt, maxOutputTokens: 200 });

  it("generates text, with its usage", async () => {
    const { text } = question({ text: "The sky is blue.", cachedTokensIn: 3 }, provider);
    const result = await generateText({ ...asked(text) });
    expect(result.text).toBe("The sky is blue.");
    expect(result.usage.outputTokens).toBeGreaterThan(0);
    expect(result.usage.inputTokenDetails.cacheReadTokens).toBe(3);
    expect(result.response.headers?.["x-llm-gateway-provider"]).toBe(provider);
  });

  it("streams text, with its usage", async () => {
    const { text } = question({ text: "one two three" }, provider);
    const result = streamText({ ...asked(text) });
    let streamed = "";
    for await (const part of result.textStream) streamed += part;
    expect(streamed).toBe("one two three");
    expect((await result.usage).outputTokens).toBe(4);
    expect(await result.finishReason).toBe("stop");
  });

  it("calls tools in a stream, and goes on", async () => {
    const { text } = question({ toolCall: TOOL_CALL, times: 1 }, provider);
    const getWeather = tool({ inputSchema: WEATHER, execute: ({ city }) => `4 °C in ${city}` });
    const result = streamText({ ...asked(text), tools: { get_weather: getWeather } });
    expect(await result.toolResults).toMatchObject([{ input: { city: "Oslo" }, output: "4 °C in Oslo" }]);
  });

  it("shows what the model thinks", async () => {
    const { text } = question({ reasoningTokens: 4, tokensOut: 9 }, provider);
    const providerOptions = { anthropic: { thinking: { type: "enabled", budgetTokens: 1_024 } } };
    const result = await generateText({ ...asked(text), providerOptions, maxOutputTokens: 2_000 });
    // OpenAI only counts it.
    expect(result.reasoningText ?? "").toBe(provider === "openai" ? "" : "r00 r01 r02 r03 ");
  });

  it("makes objects of a schema", async () => {
    const { text } = question({}, provider);
    const output = Output.object({ schema: WEATHER });
    // For models that it does not know it would force a tool.
    const providerOptions = { anthropic: { structuredOutputMode: "outputFormat" } };
    const result = await generateText({ ...asked(text), output, providerOptions });
    expect(WEATHER.safeParse(result.output).success).toBe(true);
  });

  it("sees errors as what they are", async () => {
    const error = await generateText({ ...asked("Hi"), model: model("no-such") }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(APICallError);
    expect(error).toMatchObject({ statusCode: 404, isRetryable: false });
  });
});

describe.each(["anthropic", "openai"] as const)("LangChain in front of %s", (provider) => {
  const model = () =>
    new ChatAnthropic({
      ...{ model: `${provider}/sim-model`, apiKey: bench().key.secret, maxTokens: 200, maxRetries: 0 },
      anthropicApiUrl: bench().url,
    });

  it("invokes and streams", async () => {
    const { text } = question({ text: "The sky is blue." }, provider);
    const answer = await model().invoke([new HumanMessage(text)]);
    expect(answer.text).toBe("The sky is blue.");
    expect(answer.usage_metadata?.output_tokens).toBe(4);
    let streamed = "";
    for await (const chunk of await model().stream([new HumanMessage(text)])) streamed += chunk.text;
    expect(streamed).toBe("The sky is blue.");
  });

  it("calls tools", async () => {
    const { text } = question({ toolCall: TOOL_CALL }, provider);
    const getWeather = langchainTool(() => "4 °C", { name: "get_weather", schema: WEATHER });
    const answer = await model()
      .bindTools([getWeather])
      .invoke([new HumanMessage(text)]);
    expect(answer.tool_calls).toMatchObject([{ name: "get_weather", args: { city: "Oslo" } }]);
  });
});
