import type Anthropic from "@anthropic-ai/sdk";
import { expect, onTestFinished, test } from "vitest";
import type { MessagePart, StreamDelta } from "../../../src/core/completion.ts";
import type { AttemptReport, CompletionResult, Gateway } from "../../../src/core/gateway.ts";
import type { Usage } from "../../../src/core/usage.ts";
import { startAnthropicServer } from "../../support/anthropic-server.ts";

/** Providers of another dialect: their answers read as Anthropic's. */

const USAGE: Usage = {
  ...{ tokensIn: 10, tokensOut: 7, uncachedTokensIn: 6, cacheReadTokensIn: 4, cacheWriteTokensIn: undefined },
  ...{ textTokensOut: 5, reasoningTokensOut: 2 },
};

const attempt = (usage: Usage | undefined): AttemptReport => ({
  ...{ attemptId: "a-1", ordinal: 1, provider: "other", model: "big", outcome: "succeeded" },
  ...{ errorReason: undefined, latencyMs: 12.4, usageSource: "reported", billingState: "settled" },
  ...{ costPicoUsd: 5_000_000n, priceId: "p", usage },
});

async function serve(gateway: Partial<Gateway>) {
  const unused = () => Promise.reject(new Error("not expected"));
  const server = await startAnthropicServer({
    ...{ complete: unused, stream: unused, embed: unused, models: () => [] },
    ...gateway,
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

const QUESTION = {
  ...{ model: "other/big", max_tokens: 100, messages: [{ role: "user", content: "Hi" }] },
  thinking: { type: "adaptive" },
} as const satisfies Anthropic.MessageCreateParamsNonStreaming;

function answering(
  parts: readonly MessagePart[],
  finishReason: CompletionResult["choices"][number]["finishReason"] = "stop",
  usage: Usage | undefined = USAGE,
): Partial<Gateway> {
  const message = { role: "assistant", name: undefined, parts } as const;
  const choices = [{ index: 0, finishReason, message }];
  const attempts = [attempt(usage)];
  return {
    complete: () => Promise.resolve({ provider: "other", model: "big", attempts, replayed: false, choices }),
  };
}

function streaming(...batches: readonly (readonly StreamDelta[])[]): Partial<Gateway> {
  return {
    stream: async (_, sink) => {
      sink.started("other", "big");
      for (const batch of batches) await sink.deltas(batch);
      const finishReasons = [{ choiceIndex: 0, finishReason: "tool_calls" as const }];
      const attempts = [attempt(USAGE)];
      return { provider: "other", model: "big", finishReasons, attempts, replayed: false };
    },
  };
}

test("an answer has its text, thinking and tool calls where Anthropic has them", async () => {
  const parts: MessagePart[] = [
    { kind: "reasoning", text: "Hm." },
    { kind: "text", text: "" },
    { kind: "text", text: "Let me see." },
    { kind: "tool_call", id: "c1", name: "look", argumentsJson: '{"at":"it"}' },
    { kind: "tool_call", id: "c2", name: "look", argumentsJson: "no JSON" },
  ];
  const { client } = await serve(answering(parts, "tool_calls"));
  const { data, request_id } = await client.messages.create(QUESTION).withResponse();
  const tool = { type: "tool_use", name: "look", caller: { type: "direct" } };
  expect(data).toEqual({
    ...{ id: `msg_${request_id}`, type: "message", role: "assistant", model: "big", container: null },
    content: [
      { type: "thinking", thinking: "Hm.", signature: "" },
      { type: "text", text: "Let me see.", citations: null },
      { ...tool, id: "c1", input: { at: "it" } },
      { ...tool, id: "c2", input: {} },
    ],
    ...{ stop_reason: "tool_use", stop_sequence: null, stop_details: null },
    usage: {
      ...{ input_tokens: 6, cache_read_input_tokens: 4, cache_creation_input_tokens: null },
      ...{ output_tokens: 7, output_tokens_details: { thinking_tokens: 2 } },
    },
  });
});

test.each([
  ["stop", "end_turn"],
  ["length", "max_tokens"],
  ["tool_calls", "tool_use"],
  ["content_filter", "refusal"],
] as const)("%s is said as %s", async (finishReason, stopReason) => {
  const { client } = await serve(answering([{ kind: "refusal", text: "No." }], finishReason));
  const message = await client.messages.create(QUESTION);
  expect(message.stop_reason).toBe(stopReason);
  expect(message.content).toMatchObject([{ type: "text", text: "No." }]);
});

const tool = (toolIndex: number, argumentsDelta: string, name?: string): StreamDelta => ({
  ...{ kind: "tool_call", choiceIndex: 0, toolIndex, argumentsDelta, name },
  id: name && `c${toolIndex}`,
});
const say = (text: string, choiceIndex = 0): StreamDelta => ({ kind: "text", choiceIndex, text });
const think = (text: string): StreamDelta => ({ kind: "reasoning", choiceIndex: 0, text });

test("a stream is blocks, one after the other, with usage and cost at its end", async () => {
  const { client, url } = await serve(
    streaming(
      [think("Hm"), think("."), say("Let me ")],
      [say("see."), say("other", 1), tool(0, "", "look"), tool(0, '{"at"')],
      [tool(0, ":1}"), tool(1, '{"at":2}', "look"), say("Done.")],
    ),
  );
  const message = await client.messages.stream(QUESTION).finalMessage();
  expect(message.content).toMatchObject([
    { type: "thinking", thinking: "Hm." },
    { type: "text", text: "Let me see." },
    { type: "tool_use", id: "c0", name: "look", input: { at: 1 } },
    { type: "tool_use", id: "c1", name: "look", input: { at: 2 } },
    { type: "text", text: "Done." },
  ]);
  expect(message).toMatchObject({ stop_reason: "tool_use", usage: { input_tokens: 6, output_tokens: 7 } });
  const response = await fetch(`${url}/v1/messages`, {
    method: "POST",
    body: JSON.stringify({ ...QUESTION, stream: true, top_k: 3 }),
  });
  expect(response.headers.get("x-llm-gateway-ignored")).toBe("thinking, top_k");
  const events = (await response.text()).trimEnd().split("\n\n");
  const indexes = events.flatMap(
    (event) => /"type":"content_block_(start|stop)","index":(\d)/.exec(event)?.slice(1) ?? [],
  );
  expect(indexes).toEqual(["0", "1", "2", "3", "4"].flatMap((index) => ["start", index, "stop", index]));
  expect(events.at(-1)).toContain('"llm_gateway":{');
  expect(events.at(-1)).toContain('"cost_usd":"0.000005000000"');
});

test("a call that has no name for its tool's call gets one", async () => {
  const { client } = await serve(streaming([tool(0, "{}")]));
  const [block] = (await client.messages.stream(QUESTION).finalMessage()).content;
  expect(block).toMatchObject({ type: "tool_use", id: expect.stringMatching(/^toolu_.+_0$/) });
});

test("a stream that shows nothing yet says that it goes on", async () => {
  const { url } = await serve(streaming([think("Hm")], [say("Hi")]));
  const body = JSON.stringify({ ...QUESTION, thinking: { type: "disabled" }, stream: true });
  const response = await fetch(`${url}/v1/messages`, { method: "POST", body });
  expect(response.headers.get("x-llm-gateway-ignored")).toBeNull();
  const names = (await response.text()).match(/^event: .*$/gm);
  expect(names).toEqual(
    [
      ...["message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop"],
      ...["message_delta", "message_stop"],
    ].map((name) => `event: ${name}`),
  );
});

test("an answer without anything is a message all the same", async () => {
  const { client } = await serve(streaming());
  const message = await client.messages.stream(QUESTION).finalMessage();
  expect(message).toMatchObject({ content: [], stop_reason: "tool_use", usage: { output_tokens: 7 } });
});

test("a slow reader holds the provider back", async () => {
  const text = "x".repeat(100_000);
  let held: Promise<void> | undefined;
  const reading = Promise.withResolvers<void>();
  const { url } = await serve({
    stream: async (_, sink) => {
      sink.started("other", "big");
      for (let sent = 0; sent < 500 && !held; sent += 1) held = sink.deltas([say(text)]);
      reading.resolve();
      await held;
      const attempts = [attempt(USAGE)];
      return { provider: "other", model: "big", finishReasons: [], attempts, replayed: false };
    },
  });
  const body = JSON.stringify({ ...QUESTION, stream: true });
  const response = await fetch(`${url}/v1/messages`, { method: "POST", body });
  await reading.promise;
  expect(held).toBeDefined();
  // Once it reads, the stream goes on to its end.
  expect(await response.text()).toContain("event: message_stop");
});
