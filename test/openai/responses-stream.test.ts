import type OpenAI from "openai";
import { expect, it } from "vitest";
import { question, recordsOf, useOpenAiBench } from "../support/openai-bench.ts";

/** Streams of the Responses API. After each test the ledger is the provider's bill. */

const bench = useOpenAiBench();
const MODEL = "openai/sim-model";

async function eventsOf(stream: AsyncIterable<OpenAI.Responses.ResponseStreamEvent>) {
  const events: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

const textOf = (events: readonly OpenAI.Responses.ResponseStreamEvent[]) =>
  events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");

it("a stream has every event of the provider, and in the last one what the call cost", async () => {
  const { text } = question({ text: "one two three" });
  const { data, request_id, response } = await bench()
    .client()
    .responses.create({ model: MODEL, input: text, stream: true })
    .withResponse();
  const events = await eventsOf(data);
  expect(textOf(events)).toBe("one two three");
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
  expect(events.slice(0, 2).map(({ type }) => type)).toEqual(["response.created", "response.in_progress"]);
  const last = events.at(-1);
  const record = (await recordsOf(bench())).find((entry) => entry.request_id === request_id);
  expect(last).toMatchObject({
    type: "response.completed",
    response: { status: "completed", usage: { output_tokens: 4 } },
    llm_gateway: { request_id, provider: "openai", cost_usd: record?.cost_usd },
  });
  expect(response.headers.get("x-llm-gateway-provider")).toBe("openai");
});

it("the client's helper for streams sees text, reasoning and the whole response", async () => {
  const { text } = question({ text: "one two three", reasoningTokens: 3 }, "deepseek");
  const stream = bench().client().responses.stream({ model: "deepseek/sim-model", input: text });
  const streamed: string[] = [];
  const reasoning: string[] = [];
  stream.on("response.output_text.delta", ({ delta }) => void streamed.push(delta));
  stream.on("response.reasoning_summary_text.delta", ({ delta }) => void reasoning.push(delta));
  const final = await stream.finalResponse();
  expect(streamed.join("")).toBe("one two three");
  expect(final.output_text).toBe("one two three");
  expect(reasoning).not.toEqual([]);
  expect(final.output.map(({ type }) => type)).toEqual(["reasoning", "message"]);
  expect(final.usage?.output_tokens_details.reasoning_tokens).toBe(3);
});

it("calls of tools are streamed piece by piece", async () => {
  const calls = ["Oslo", "Rome"].map((city) => ({ name: "get_weather", arguments: { city } }));
  const { text } = question({ toolCall: calls });
  const tool = { type: "function", name: "get_weather", parameters: {}, strict: false } as const;
  const stream = bench()
    .client()
    .responses.stream({ model: MODEL, input: text, tools: [tool] });
  const { output } = await stream.finalResponse();
  expect(output.map((item) => item.type === "function_call" && JSON.parse(item.arguments))).toEqual([
    { city: "Oslo" },
    { city: "Rome" },
  ]);
});

it("a stream that its limit cuts short ends as incomplete", async () => {
  const { text } = question({ tokensOut: 20 });
  const stream = await bench()
    .client()
    .responses.create({ model: MODEL, input: text, stream: true, max_output_tokens: 5 });
  expect((await eventsOf(stream)).at(-1)).toMatchObject({
    type: "response.incomplete",
    response: { incomplete_details: { reason: "max_output_tokens" } },
    llm_gateway: { cost_estimated: false },
  });
});

it("a stream of a thousand tokens is read slowly without losing any", async () => {
  const { text } = question({ tokensOut: 1_000 });
  const stream = await bench().client().responses.create({ model: MODEL, input: text, stream: true });
  let tokens = 0;
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") tokens += 1;
    if (tokens % 100 === 0) await new Promise(setImmediate);
  }
  expect(tokens).toBe(1_000);
});

it.each(["reset", "errorEvent"] as const)(
  "another provider takes over as long as nothing of an answer was sent (%s)",
  async (fault) => {
    const { text } = question({ fault, afterTokens: 0 });
    const { data, response } = await bench()
      .client()
      .responses.create({
        ...{ model: `openai/failing-${fault}`, input: text, stream: true },
        ...{ fallback_models: ["deepseek/sim-model"] },
      })
      .withResponse();
    expect(response.headers.get("x-llm-gateway-provider")).toBe("deepseek");
    const events = await eventsOf(data);
    expect(events.filter(({ type }) => type === "response.created")).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({
      type: "response.completed",
      llm_gateway: { provider: "deepseek" },
    });
  },
);
