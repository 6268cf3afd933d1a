import { randomUUID } from "node:crypto";
import OpenAI from "openai";
import { expect, it } from "vitest";
import { question, recordsOf, useOpenAiBench, user } from "../support/openai-bench.ts";

/** What `Idempotency-Key` does. After each test the bill, with its one line, is the ledger. */

const bench = useOpenAiBench();
const MODEL = "openai/sim-model";

/** One caller that says the same thing under one key as often as it is asked to. */
function repeatable(key: string = randomUUID()) {
  const options = { headers: { "idempotency-key": key } };
  return {
    complete: (body: OpenAI.ChatCompletionCreateParamsNonStreaming) =>
      bench().client().chat.completions.create(body, options).withResponse(),
    stream: async (body: OpenAI.ChatCompletionCreateParamsNonStreaming) => {
      const asked = { ...body, stream: true, stream_options: { include_usage: true } } as const;
      const { data, response } = await bench()
        .client()
        .chat.completions.create(asked, options)
        .withResponse();
      const chunks: OpenAI.ChatCompletionChunk[] = [];
      for await (const chunk of data) chunks.push(chunk);
      return { chunks, response };
    },
  };
}

const replayedOf = (response: Response) => response.headers.get("x-llm-gateway-replayed");
const textOf = (chunks: readonly OpenAI.ChatCompletionChunk[]) =>
  chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");

it.each(["short", "a key of more than thirty-six characters, such as some clients make"])(
  "a request with the key %j is made once, and its repetition gets the same answer",
  async (name) => {
    const { marker, text } = question({ text: "The sky is blue.", cachedTokensIn: 3 });
    const { complete } = repeatable(`${name}-${randomUUID()}`.slice(0, name === "short" ? 36 : 200));
    const body = { model: MODEL, messages: [user(text)] };
    const first = await complete(body);
    const second = await complete(body);
    expect(replayedOf(first.response)).toBeNull();
    expect(replayedOf(second.response)).toBe("true");
    expect(bench().requestsOf(marker)).toHaveLength(1);
    expect(second.data).toMatchObject({
      object: "chat.completion",
      model: "sim-model",
      choices: [
        { index: 0, finish_reason: "stop", message: { role: "assistant", content: "The sky is blue." } },
      ],
      usage: { prompt_tokens: first.data.usage?.prompt_tokens, prompt_tokens_details: { cached_tokens: 3 } },
    });
    expect(second.request_id).toBe(first.request_id);
    const cost = (response: Response) => response.headers.get("x-llm-gateway-cost-usd");
    expect(cost(second.response)).toBe(cost(first.response));
    const records = (await recordsOf(bench())).filter((entry) => entry.request_id === first.request_id);
    expect(records).toMatchObject([{ cost_usd: cost(first.response) }]);
  },
);

it("a stream is made once, and its repetition is a stream of the same text, finish reason and usage", async () => {
  const { marker, text } = question({ tokensOut: 30 });
  const { stream } = repeatable();
  const body = { model: MODEL, messages: [user(text)] };
  const first = await stream(body);
  const second = await stream(body);
  expect(bench().requestsOf(marker)).toHaveLength(1);
  expect([replayedOf(first.response), replayedOf(second.response)]).toEqual([null, "true"]);
  expect(textOf(second.chunks)).toBe(textOf(first.chunks));
  expect(textOf(second.chunks)).not.toBe("");
  expect(second.chunks.at(-2)?.choices[0]?.finish_reason).toBe("stop");
  const [one, other] = [first.chunks.at(-1), second.chunks.at(-1)];
  expect(other?.usage?.total_tokens).toBe(one?.usage?.total_tokens);
  expect(other).toMatchObject({ llm_gateway: { replayed: true, provider: "openai" } });
  expect(one).not.toHaveProperty("llm_gateway.replayed");
});

it("tool calls are there again", async () => {
  const { text } = question({ toolCall: { name: "get_weather", arguments: '{"city":"Zürich"}' } });
  const { complete, stream } = repeatable();
  const tool = {
    type: "function",
    function: { name: "get_weather", parameters: { type: "object" } },
  } as const;
  const body = { model: MODEL, messages: [user(text)], tools: [tool] };
  const [first, second] = [await complete(body), await complete(body)];
  const calls = first.data.choices[0]?.message.tool_calls;
  expect(calls).toHaveLength(1);
  expect(second.data.choices[0]).toMatchObject({
    finish_reason: "tool_calls",
    message: { tool_calls: calls },
  });
  // A stream is another call.
  await expect(stream(body)).rejects.toBeInstanceOf(OpenAI.ConflictError);
});

it("a request that comes while the first one runs waits for its answer", async () => {
  const { marker, text } = question({ latencyMs: 300 });
  const { complete } = repeatable();
  const body = { model: MODEL, messages: [user(text)] };
  const answers = await Promise.all([complete(body), complete(body)]);
  expect(bench().requestsOf(marker)).toHaveLength(1);
  expect(new Set(answers.map(({ data }) => data.choices[0]?.message.content)).size).toBe(1);
  expect(new Set(answers.map(({ response }) => replayedOf(response)))).toEqual(new Set(["true", null]));
});

it("a key with another content is refused, also if only a member differs that the gateway does not know", async () => {
  const { marker, text } = question();
  const { complete } = repeatable();
  const body = { model: MODEL, messages: [user(text)] };
  await complete(body);
  const error = await complete({ ...body, logit_bias: { "50256": -100 } }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(OpenAI.ConflictError);
  expect(error).toMatchObject({ code: "request_id_reused" });
  expect(bench().requestsOf(marker)).toHaveLength(1);
});

it("a failure that cost nothing is no answer: the repetition is made anew", async () => {
  const { marker, text } = question({ status: 401 });
  const { complete } = repeatable();
  const body = { model: MODEL, messages: [user(text)] };
  for (const _ of [1, 2]) await expect(complete(body)).rejects.toThrow(/credential/);
  expect(bench().requestsOf(marker)).toHaveLength(2);
});

it("a failure that may have cost money is told again, and its client does not retry it", async () => {
  const { marker, text } = question({ fault: "truncatedJson" });
  const { complete } = repeatable();
  const body = { model: MODEL, messages: [user(text)] };
  const failures = [];
  for (const _ of [1, 2]) failures.push(await complete(body).catch((thrown: unknown) => thrown));
  const calls = bench().requestsOf(marker).length;
  expect(failures[1]).toBeInstanceOf(OpenAI.APIError);
  const { headers } = failures[1] as InstanceType<typeof OpenAI.APIError>;
  expect(headers?.get("x-llm-gateway-replayed")).toBe("true");
  expect(headers?.get("x-should-retry")).toBe("false");
  await complete(body).catch(() => {});
  expect(bench().requestsOf(marker)).toHaveLength(calls);
});

it("without a key every request is made", async () => {
  const { marker, text } = question();
  const { chat } = bench().client();
  for (const _ of [1, 2]) await chat.completions.create({ model: MODEL, messages: [user(text)] });
  expect(bench().requestsOf(marker)).toHaveLength(2);
});
