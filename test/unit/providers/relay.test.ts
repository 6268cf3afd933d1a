import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { NativeRequest, StreamDelta } from "../../../src/core/completion.ts";
import type { Provider } from "../../../src/core/provider.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { callOf, chunk, DONE, failureOf, streams, usageChunk } from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

/** What a caller of the provider's own dialect gets, read by read. */

let standIn: ScriptedProvider;
let provider: Provider;
let relayed: string[];
let deltas: StreamDelta[];

beforeAll(async () => {
  standIn = await ScriptedProvider.start();
  provider = createProvider({
    name: "openai",
    profile: "openai",
    baseUrl: standIn.origin,
    apiKey: "sk-test-canary-0123456789",
    connectTimeoutMs: 2_000,
  });
});
afterAll(async () => {
  await provider.close();
  await standIn[Symbol.asyncDispose]();
});
beforeEach(() => {
  relayed = [];
  deltas = [];
});

const text = '{"model":"fast","messages":[{"role":"user","content":"Hi"}],"stream":true}';
const native: NativeRequest = {
  ...{ dialect: "openai-chat", text, body: JSON.parse(text), gatewayMembers: [], untranslatable: [] },
};

function stream() {
  return provider.stream({ ...callOf(), native }, (pushed, events = "") => {
    deltas.push(...pushed);
    relayed.push(events);
    return undefined;
  });
}

const data = (json: string) => `data: ${json}\n\n`;

test("every event reaches the caller as the provider wrote it, but the usage and [DONE], which wait for the end", async () => {
  const first = data('{"choices":[],"prompt_filter_results":[{"x":1.50}]}');
  const role = data(
    '{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"service_tier":"flex"}',
  );
  const content = chunk({ content: "Hi", unknown: { deep: [1, null] } });
  const last = chunk({}, "stop");
  standIn.does(streams([first, role, content, last, usageChunk(3, 2), DONE]));
  const end = await stream();
  expect(relayed.join("") + end.native?.tail).toBe(first + role + content + last);
  expect(data(end.native?.usageJson ?? "")).toBe(usageChunk(3, 2));
  expect(end.usage).toMatchObject({ kind: "reported", usage: { tokensIn: 3, tokensOut: 2 } });
  expect(deltas).toEqual([{ kind: "text", choiceIndex: 0, text: "Hi" }]);
});

test("a call that is not of the dialect gets deltas alone, to be said in another one", async () => {
  standIn.does(streams([chunk({ content: "Hi" }), chunk({}, "stop"), usageChunk(3, 2), DONE]));
  const events: unknown[] = [];
  const end = await provider.stream(callOf(), (pushed, native) => {
    deltas.push(...pushed);
    events.push(native);
    return undefined;
  });
  expect(deltas).toEqual([{ kind: "text", choiceIndex: 0, text: "Hi" }]);
  expect(new Set(events)).toEqual(new Set([undefined]));
  expect(end.native).toBeUndefined();
});

test("nothing is relayed before there is content, so that another provider can still take over", async () => {
  const role = chunk({ role: "assistant", content: "" });
  standIn.does(streams([role]));
  await failureOf(stream());
  expect(relayed).toEqual([]);
});

test("a usage alone is no content either", async () => {
  standIn.does(streams([usageChunk(3, 0), DONE]));
  expect(await failureOf(stream())).toMatchObject({ reason: "PROVIDER_BAD_RESPONSE" });
  expect(relayed.join("")).toBe("");
});

test("events without content are not held back for ever", async () => {
  const padding = `data: ${JSON.stringify({ choices: [], padding: "x".repeat(600_000) })}\n\n`;
  standIn.does(streams([padding, padding, chunk({ content: "Hi" }), chunk({}, "stop"), DONE]));
  expect(await failureOf(stream())).toMatchObject({ reason: "PROVIDER_BAD_RESPONSE" });
  expect(relayed).toEqual([]);
});

test("a provider that states the usage unasked, in its last chunk, is relayed like any other", async () => {
  const mistral = createProvider({
    ...{ name: "mistral", profile: "mistral", baseUrl: standIn.origin, apiKey: "mistral-canary-0123456789" },
    connectTimeoutMs: 2_000,
  });
  const last = `data: ${JSON.stringify({
    choices: [{ index: 0, delta: { content: "" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 2 },
  })}\n\n`;
  standIn.does(streams([chunk({ content: "Hi" }), last, DONE]));
  const end = await mistral.stream({ ...callOf(), native }, (_, events = "") => {
    relayed.push(events);
    return undefined;
  });
  await mistral.close();
  expect(JSON.parse(standIn.onlyRequest.body)).not.toHaveProperty("stream_options");
  expect(relayed.join("") + end.native?.tail).toBe(chunk({ content: "Hi" }) + last);
  expect(end.usage).toMatchObject({ kind: "reported", usage: { tokensIn: 3, tokensOut: 2 } });
});

test("content that the gateway does not know is content", async () => {
  const audio = chunk({ audio: { data: "UklGRg==" } });
  standIn.does(
    streams([chunk({ role: "assistant", content: "" }), audio, chunk({}, "stop"), usageChunk(1, 1), DONE]),
  );
  const end = await stream();
  expect(relayed.join("") + end.native?.tail).toContain(audio);
  expect(deltas).toEqual([]);
});

test("the last event is relayed also when the blank line behind it is missing", async () => {
  const last = chunk({}, "stop");
  standIn.does(streams([chunk({ content: "Hi" }), usageChunk(1, 1), last.trimEnd()]));
  const end = await stream();
  expect(relayed.join("") + end.native?.tail).toBe(chunk({ content: "Hi" }) + last);
});

test("a finish reason that the gateway does not know is its reader's business", async () => {
  standIn.does(streams([chunk({ content: "Hi" }), chunk({}, "steered"), usageChunk(1, 1), DONE]));
  const end = await stream();
  expect(relayed.join("") + end.native?.tail).toContain('"finish_reason":"steered"');
});

test("a unary answer is the provider's own text", async () => {
  const body =
    '{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","annotations":[1.0]},' +
    '"finish_reason":"steered"}],"usage":{"prompt_tokens":3,"completion_tokens":2},"system_fingerprint":"fp"}';
  standIn.does((response) => void response.writeHead(200, { "content-type": "application/json" }).end(body));
  const answer = await provider.complete({ ...callOf(), native });
  expect(answer.native).toBe(body);
  expect(answer.usage.kind).toBe("reported");
});

test("what a provider says of a caller's mistake is kept for its program: code, type and parameter", async () => {
  const error = {
    message: "Bad.",
    type: "invalid_request_error",
    param: "messages[0].role",
    code: "invalid_value",
  };
  standIn.does(
    (response) =>
      void response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error })),
  );
  expect((await failureOf(provider.complete({ ...callOf(), native }))).metadata).toEqual({
    provider_code: "invalid_value",
    provider_type: "invalid_request_error",
    provider_param: "messages[0].role",
  });
});

test.each([
  ["annotations", { annotations: [{ type: "url_citation" }] }, true],
  ["executed tools", { executed_tools: [{ type: "search" }] }, true],
  ["an empty list of annotations", { annotations: [] }, undefined],
])("an answer with %s says whether tools are billed apart: %j is %s", async (_, shown, expected) => {
  const message = { role: "assistant", content: "Hi", ...shown };
  const body = { choices: [{ index: 0, message, finish_reason: "stop" }] };
  standIn.does(
    (response) =>
      void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body)),
  );
  expect((await provider.complete(callOf())).separatelyBilledTools).toBe(expected);
  standIn.does(streams([chunk({ content: "Hi" }), chunk(shown), chunk({}, "stop"), usageChunk(1, 1), DONE]));
  expect((await stream()).separatelyBilledTools).toBe(expected);
});
