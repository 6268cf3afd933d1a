import { expect, it } from "vitest";
import { question, recordsOf, useOpenAiBench, user } from "../support/openai-bench.ts";

const bench = useOpenAiBench();
const MODEL = "openai/sim-model";

/** The bytes of a stream, as any client gets them. */
async function rawStream(body: object): Promise<string> {
  const response = await fetch(`${bench().baseURL}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${bench().key.secret}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, stream: true, ...body }),
  });
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  return response.text();
}

it("a stream has every chunk of the provider, and with the usage what the call cost", async () => {
  const { text } = question({ text: "one two three" });
  const { data, request_id, response } = await bench()
    .client()
    .chat.completions.create({
      ...{ model: MODEL, messages: [user(text)], stream: true, stream_options: { include_usage: true } },
    })
    .withResponse();
  const chunks = [];
  for await (const chunk of data) chunks.push(chunk);
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe("one two three");
  expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
  const last = chunks.at(-1);
  expect(last).toMatchObject({ choices: [], usage: { completion_tokens: 4 } });
  expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  const record = (await recordsOf(bench())).find((entry) => entry.request_id === request_id);
  expect(last).toMatchObject({
    llm_gateway: {
      request_id,
      provider: "openai",
      cost_usd: record?.cost_usd,
      attempts: [{ outcome: "succeeded" }],
    },
  });
  expect(response.headers.get("x-llm-gateway-provider")).toBe("openai");
});

it("a caller that did not ask for usage gets none, and what the call cost as a comment", async () => {
  const { marker, text } = question({ tokensOut: 2 });
  const events = (await rawStream({ messages: [user(text)] })).split("\n\n");
  expect(events.filter((event) => event.includes('"usage"'))).toEqual([]);
  expect(events.slice(-3)).toEqual([
    expect.stringMatching(/^: llm_gateway \{"request_id":.*"cost_usd":"0\.\d{12}"/),
    "data: [DONE]",
    "",
  ]);
  // The ledger has it all the same.
  expect(bench().requestsOf(marker)[0]?.body.stream_options).toEqual({ include_usage: true });
});

it("the client's helper for streams sees text, tool calls and the whole answer", async () => {
  const { text } = question({ toolCall: { name: "get_weather", arguments: { city: "Oslo" } } });
  const stream = bench()
    .client()
    .chat.completions.stream({
      model: MODEL,
      messages: [user(text)],
      tools: [{ type: "function", function: { name: "get_weather", parameters: {} } }],
      stream_options: { include_usage: true },
    });
  const deltas: string[] = [];
  stream.on("tool_calls.function.arguments.delta", ({ arguments_delta }) => deltas.push(arguments_delta));
  const completion = await stream.finalChatCompletion();
  expect(JSON.parse(deltas.join(""))).toEqual({ city: "Oslo" });
  expect(completion.choices[0]).toMatchObject({
    finish_reason: "tool_calls",
    message: { tool_calls: [{ function: { name: "get_weather" } }] },
  });
  expect((await stream.totalUsage()).prompt_tokens).toBeGreaterThan(0);
});

it("a stream of a thousand tokens is read slowly without losing any", async () => {
  const { text } = question({ tokensOut: 1_000 });
  const stream = await bench()
    .client()
    .chat.completions.create({ model: MODEL, messages: [user(text)], stream: true });
  let tokens = 0;
  for await (const { choices } of stream) {
    if (choices[0]?.delta.content) tokens += 1;
    if (tokens % 100 === 0) await new Promise(setImmediate);
  }
  expect(tokens).toBe(1_000);
});

it("another provider takes over as long as nothing was sent", async () => {
  const { text } = question({ fault: "reset" });
  const stream = await bench()
    .client()
    .chat.completions.create({
      ...{ model: MODEL, messages: [user(text)], stream: true },
      ...{ fallback_models: ["deepseek/sim-model"] },
    })
    .withResponse();
  expect(stream.response.headers.get("x-llm-gateway-provider")).toBe("deepseek");
  for await (const _ of stream.data);
});
