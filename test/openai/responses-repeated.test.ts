import { randomUUID } from "node:crypto";
import OpenAI from "openai";
import { expect, it } from "vitest";
import { question, recordsOf, useOpenAiBench } from "../support/openai-bench.ts";

/** What `Idempotency-Key` does to responses. After each test the bill, with its one line, is the ledger. */

const bench = useOpenAiBench();
const MODEL = "deepseek/sim-model";

/** One caller that says the same thing under one key as often as it is asked to. */
function repeatable() {
  const options = { headers: { "idempotency-key": randomUUID() } };
  return {
    create: (body: OpenAI.Responses.ResponseCreateParamsNonStreaming) =>
      bench().client().responses.create(body, options).withResponse(),
    stream: (body: { readonly model: string; readonly input: string }) =>
      bench().client().responses.stream(body, options),
  };
}

const replayedOf = (response: Response) => response.headers.get("x-llm-gateway-replayed");
const TOOL = { type: "function", name: "get_weather", parameters: {}, strict: false } as const;

it("a request is made once, and its repetition gets the same answer under another id", async () => {
  const { marker, text } = question(
    { text: "The sky is blue.", cachedTokensIn: 3, reasoningTokens: 2 },
    "deepseek",
  );
  const { create } = repeatable();
  const body = { model: MODEL, input: text, instructions: "Be brief.", metadata: { team: "search" } };
  const [first, second] = [await create(body), await create(body)];
  expect([replayedOf(first.response), replayedOf(second.response)]).toEqual([null, "true"]);
  expect(bench().requestsOf(marker)).toHaveLength(1);
  expect(second.data.output_text).toBe("The sky is blue.");
  expect(second.data).toMatchObject({
    ...{ object: "response", status: "completed", model: "sim-model" },
    ...{ instructions: "Be brief.", metadata: { team: "search" } },
    output: [
      {
        type: "reasoning",
        summary: first.data.output[0]?.type === "reasoning" && first.data.output[0].summary,
      },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "The sky is blue." }] },
    ],
    usage: first.data.usage,
  });
  expect(second.data.id).not.toBe(first.data.id);
  const cost = (response: Response) => response.headers.get("x-llm-gateway-cost-usd");
  expect(cost(second.response)).toBe(cost(first.response));
  const records = (await recordsOf(bench())).filter((entry) => entry.request_id === first.request_id);
  expect(records).toMatchObject([{ cost_usd: cost(first.response) }]);
});

it("a stream is made once, and its repetition is a stream that the client's helper understands", async () => {
  const { marker, text } = question({ text: "one two three", reasoningTokens: 2 }, "deepseek");
  const { stream } = repeatable();
  const body = { model: MODEL, input: text };
  const first = await stream(body).finalResponse();
  const again = stream(body);
  const types: string[] = [];
  const numbers: number[] = [];
  again.on("event", ({ type, sequence_number }) => {
    types.push(type);
    numbers.push(sequence_number);
  });
  const second = await again.finalResponse();
  expect(bench().requestsOf(marker)).toHaveLength(1);
  expect(second.output_text).toBe("one two three");
  expect(second.output.map(({ type }) => type)).toEqual(first.output.map(({ type }) => type));
  expect(second.usage).toEqual(first.usage);
  expect(numbers).toEqual(numbers.map((_, index) => index));
  expect(types.slice(0, 2)).toEqual(["response.created", "response.in_progress"]);
  expect(types.at(-1)).toBe("response.completed");
});

it("tool calls are there again, whole or streamed, and so is a limit that cut the answer", async () => {
  const script = { toolCall: [1, 2].map((n) => ({ name: "get_weather", arguments: { n } })) };
  const body = { model: MODEL, tools: [TOOL] };
  const whole = { ...body, input: question(script, "deepseek").text };
  const { create } = repeatable();
  const [first, second] = [await create(whole), await create(whole)];
  const calls = (output: OpenAI.Responses.ResponseOutputItem[]) =>
    output.map((item) => item.type === "function_call" && [item.call_id, item.name, item.arguments]);
  expect(calls(second.data.output)).toEqual(calls(first.data.output));
  expect(calls(second.data.output)).toHaveLength(2);

  const { stream } = repeatable();
  const streamed = { ...body, input: question(script, "deepseek").text };
  const one = await stream(streamed).finalResponse();
  const other = await stream(streamed).finalResponse();
  expect(calls(other.output)).toEqual(calls(one.output));

  const cut = { model: MODEL, input: question({ tokensOut: 9 }, "deepseek").text, max_output_tokens: 4 };
  const limited = repeatable();
  await limited.create(cut);
  expect((await limited.create(cut)).data).toMatchObject({
    status: "incomplete",
    incomplete_details: { reason: "max_output_tokens" },
    max_output_tokens: 4,
  });
});

it("a key with another content, or of a stream, is refused", async () => {
  const { text } = question({}, "deepseek");
  const { create, stream } = repeatable();
  const body = { model: MODEL, input: text };
  await create(body);
  await expect(create({ ...body, top_logprobs: 2 })).rejects.toBeInstanceOf(OpenAI.ConflictError);
  await expect(stream(body).finalResponse()).rejects.toBeInstanceOf(OpenAI.ConflictError);
});
