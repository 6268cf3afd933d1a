import OpenAI from "openai";
import { expect, onTestFinished, test } from "vitest";
import type { StreamDelta } from "../../../src/core/completion.ts";
import type { AttemptReport, CompletionCall, Gateway } from "../../../src/core/gateway.ts";
import { createHarness } from "../../support/gateway-harness.ts";
import { startOpenAiServer } from "../../support/openai-server.ts";

/** Providers of another dialect: their answers read as OpenAI's, and what they cannot be told is said. */

const ATTEMPT: AttemptReport = {
  ...{ attemptId: "a-1", ordinal: 1, provider: "other", model: "big", outcome: "succeeded" },
  ...{ errorReason: undefined, latencyMs: 12.4, usageSource: "reported", billingState: "settled" },
  ...{ costPicoUsd: 5_000_000n, priceId: "p" },
  usage: {
    ...{
      tokensIn: 10,
      tokensOut: 7,
      uncachedTokensIn: 6,
      cacheReadTokensIn: 4,
      cacheWriteTokensIn: undefined,
    },
    ...{ textTokensOut: 5, reasoningTokensOut: 2 },
  },
};

async function serve(gateway: Partial<Gateway>) {
  const unused = () => Promise.reject(new Error("not expected"));
  const server = await startOpenAiServer({
    complete: unused,
    stream: unused,
    embed: unused,
    models: () => [],
    ...gateway,
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

const QUESTION = {
  model: "other/big",
  messages: [{ role: "user", content: "Hi" }],
} as const satisfies Partial<OpenAI.ChatCompletionCreateParams>;

test("an answer has its text, refusal, reasoning and tool calls where OpenAI has them", async () => {
  const { client } = await serve({
    complete: () =>
      Promise.resolve({
        ...{ provider: "other", model: "big", attempts: [ATTEMPT], replayed: false },
        choices: [
          {
            index: 0,
            finishReason: "tool_calls",
            message: {
              ...{ role: "assistant", name: undefined },
              parts: [
                { kind: "reasoning", text: "Hm." },
                { kind: "text", text: "Let me " },
                { kind: "text", text: "see." },
                { kind: "tool_call", id: "c1", name: "look", argumentsJson: '{"at":"it"}' },
              ],
            },
          },
        ],
      }),
  });
  const { data, response, request_id } = await client.chat.completions
    .create({ ...QUESTION, top_logprobs: 2, frequency_penalty: 0, n: 1, presence_penalty: 1, seed: null })
    .withResponse();
  expect(data).toEqual({
    ...{ id: `chatcmpl-${request_id}`, object: "chat.completion", created: expect.any(Number), model: "big" },
    choices: [
      {
        index: 0,
        message: {
          ...{ role: "assistant", content: "Let me see.", refusal: null, reasoning_content: "Hm." },
          tool_calls: [{ id: "c1", type: "function", function: { name: "look", arguments: '{"at":"it"}' } }],
        },
        logprobs: null,
        finish_reason: "tool_calls",
      },
    ],
    usage: {
      ...{ prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 },
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 2 },
    },
  });
  expect(response.headers.get("x-llm-gateway-ignored")).toBe("top_logprobs, presence_penalty");
  expect(response.headers.get("x-llm-gateway-cost-usd")).toBe("0.000005000000");
});

test("a stream reads as OpenAI's, with usage, cost and what was left out", async () => {
  const deltas: StreamDelta[] = [
    { kind: "reasoning", choiceIndex: 0, text: "Hm." },
    { kind: "text", choiceIndex: 0, text: "Let me " },
    { kind: "text", choiceIndex: 0, text: "see." },
    { kind: "tool_call", choiceIndex: 0, toolIndex: 0, id: "c1", name: "look", argumentsDelta: "" },
    {
      kind: "tool_call",
      choiceIndex: 0,
      toolIndex: 0,
      id: undefined,
      name: undefined,
      argumentsDelta: '{"at":1}',
    },
  ];
  const { client } = await serve({
    stream: async (_, sink) => {
      sink.started("other", "big");
      await sink.deltas(deltas.slice(0, 2));
      await sink.deltas(deltas.slice(2));
      const finishReasons = [{ choiceIndex: 0, finishReason: "tool_calls" as const }];
      return { provider: "other", model: "big", finishReasons, attempts: [ATTEMPT], replayed: false };
    },
  });
  const create = { ...QUESTION, logprobs: true, stream_options: { include_usage: true } };
  const { response } = await client.chat.completions.create({ ...create, stream: true }).withResponse();
  const completion = await client.chat.completions.stream(create).finalChatCompletion();
  expect(response.headers.get("x-llm-gateway-ignored")).toBe("logprobs");
  expect(completion).toMatchObject({
    ...{ model: "big", llm_gateway: { cost_usd: "0.000005000000" } },
    choices: [
      {
        finish_reason: "tool_calls",
        message: {
          content: "Let me see.",
          tool_calls: [{ id: "c1", function: { name: "look", arguments: '{"at":1}' } }],
        },
      },
    ],
    usage: { prompt_tokens: 10, completion_tokens: 7 },
  });
});

test("what no provider of the chain can be told is refused before anything is called", async () => {
  const harness = createHarness();
  const { client } = await serve(harness.gateway);
  const audio = { type: "input_audio" as const, input_audio: { data: "UklGRg==", format: "wav" as const } };
  const error = await client.chat.completions
    .create({ model: "chain", messages: [{ role: "user", content: [{ type: "text", text: "Hi" }, audio] }] })
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(OpenAI.BadRequestError);
  expect(error).toMatchObject({ param: "messages[0].content[1]", type: "invalid_request_error" });
  expect(harness.ledger.opened).toEqual([]);
});

test("a slow reader holds the provider back", async () => {
  const text = "x".repeat(100_000);
  let held: Promise<void> | undefined;
  const reading = Promise.withResolvers<void>();
  const { baseURL } = await serve({
    stream: async (_, sink) => {
      sink.started("other", "big");
      for (let sent = 0; sent < 500 && !held; sent += 1)
        held = sink.deltas([{ kind: "text", choiceIndex: 0, text }]);
      reading.resolve();
      await held;
      return { provider: "other", model: "big", finishReasons: [], attempts: [ATTEMPT], replayed: false };
    },
  });
  const response = await fetch(`${baseURL}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ ...QUESTION, stream: true }),
  });
  await reading.promise;
  expect(held).toBeDefined();
  // Once it reads, the stream goes on to its end.
  expect((await response.text()).endsWith("data: [DONE]\n\n")).toBe(true);
});

test.each(["unary", "streamed"])("a %s call that does not end is answered at its deadline", async (kind) => {
  const calls: CompletionCall[] = [];
  const forever = (call: CompletionCall) => {
    calls.push(call);
    return new Promise<never>(() => {});
  };
  const { baseURL } = await serve({ complete: forever, stream: forever });
  const response = await fetch(`${baseURL}/chat/completions`, {
    method: "POST",
    headers: { "x-llm-gateway-timeout-ms": "50" },
    body: JSON.stringify({ ...QUESTION, stream: kind === "streamed" }),
  });
  expect(response.status).toBe(504);
  expect(await response.json()).toMatchObject({ error: { code: "deadline_exceeded" } });
  expect(calls[0]?.signal.aborted).toBe(true);
});
