import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { NativeRequest, StreamDelta } from "../../../src/core/completion.ts";
import type { Provider } from "../../../src/core/provider.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { callOf, failureOf, streams } from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

/** What a caller of Anthropic's own dialect gets, read by read. */

let standIn: ScriptedProvider;
let provider: Provider;
let relayed: string[];
let deltas: StreamDelta[];

beforeAll(async () => {
  standIn = await ScriptedProvider.start();
  provider = createProvider({
    ...{ name: "anthropic", profile: "anthropic", baseUrl: standIn.origin },
    ...{ apiKey: "sk-ant-canary-0123456789", connectTimeoutMs: 2_000 },
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

const text = '{"model":"fast","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],"stream":true}';
const native: NativeRequest = {
  ...{ dialect: "anthropic-messages", text, body: JSON.parse(text), gatewayMembers: [], untranslatable: [] },
};

function stream() {
  return provider.stream({ ...callOf(), native }, (pushed, events = "") => {
    deltas.push(...pushed);
    relayed.push(events);
    return undefined;
  });
}

const event = (type: string, members: object) =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`;
const START = event("message_start", {
  message: { model: "m", usage: { input_tokens: 3, output_tokens: 1 } },
});
const PING = event("ping", {});
const block = (content_block: object) => event("content_block_start", { index: 0, content_block });
const delta = (change: object) => event("content_block_delta", { index: 0, delta: change });
const TEXT = block({ type: "text", text: "" });
const HI = delta({ type: "text_delta", text: "Hi" });
const STOPPED = event("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } });
const STOP = event("message_stop", {});

test("every event reaches the caller as the provider wrote it, and those of its end wait for the end", async () => {
  standIn.does(streams([START, PING, TEXT, HI, PING, STOPPED, PING, STOP]));
  const end = await stream();
  expect(relayed.join("")).toBe(START + PING + TEXT + HI + PING);
  expect(end.native).toEqual({ tail: STOPPED + PING + STOP, usageJson: undefined });
  expect(end.usage).toMatchObject({ kind: "reported", usage: { tokensIn: 3, tokensOut: 2 } });
  expect(deltas).toEqual([{ kind: "text", choiceIndex: 0, text: "Hi" }]);
});

test("usage in the middle of a stream does not end it", async () => {
  const soFar = event("message_delta", { delta: {}, usage: { output_tokens: 1 } });
  standIn.does(streams([START, TEXT, soFar, HI, STOPPED, STOP]));
  const end = await stream();
  expect(relayed.join("")).toBe(START + TEXT + soFar + HI);
  expect(end.native?.tail).toBe(STOPPED + STOP);
});

test("a call that is not of the dialect gets deltas alone, to be said in another one", async () => {
  standIn.does(streams([START, TEXT, HI, STOPPED, STOP]));
  const events: unknown[] = [];
  const end = await provider.stream(callOf(), (pushed, written) => {
    deltas.push(...pushed);
    events.push(written);
    return undefined;
  });
  expect(deltas).toEqual([{ kind: "text", choiceIndex: 0, text: "Hi" }]);
  expect(new Set(events)).toEqual(new Set([undefined]));
  expect(end.native).toBeUndefined();
  expect(standIn.onlyRequest.headers).toMatchObject({ "anthropic-version": "2023-06-01" });
});

test("nothing is relayed before there is content, so that another provider can still take over", async () => {
  standIn.does(streams([START, PING, TEXT]));
  expect(await failureOf(stream())).toMatchObject({ reason: "PROVIDER_STREAM_CUT" });
  expect(relayed).toEqual([]);
});

test.each([
  ["a block", block({ type: "hologram", depth: 1 })],
  ["redacted thinking", block({ type: "redacted_thinking", data: "x" })],
  ["a delta", delta({ type: "hologram_delta", depth: 1 })],
  ["a signature", delta({ type: "signature_delta", signature: "x" })],
  ["input of a tool that the provider runs", delta({ type: "input_json_delta", partial_json: "{" })],
])("content that the gateway does not know is content: %s", async (_, unknown) => {
  standIn.does(streams([START, unknown, STOPPED, STOP]));
  const end = await stream();
  expect(relayed.join("") + end.native?.tail).toBe(START + unknown + STOPPED + STOP);
  expect(deltas).toEqual([]);
});

test("a stop reason that the gateway does not know is its reader's business", async () => {
  const paused = event("message_delta", {
    delta: { stop_reason: "pause_turn" },
    usage: { output_tokens: 2 },
  });
  standIn.does(streams([START, TEXT, HI, paused, STOP]));
  expect((await stream()).native?.tail).toBe(paused + STOP);
  const answer =
    '{"content":[{"type":"x"}],"stop_reason":"pause_turn","usage":{"input_tokens":1,"output_tokens":1}}';
  standIn.does(
    (response) => void response.writeHead(200, { "content-type": "application/json" }).end(answer),
  );
  expect((await provider.complete({ ...callOf(), native })).native).toBe(answer);
  expect(await failureOf(provider.complete(callOf()))).toMatchObject({ reason: "PROVIDER_BAD_RESPONSE" });
});

test("an end that does not come is not waited for with all that comes instead", async () => {
  const padding = event("ping", { padding: "x".repeat(600_000) });
  standIn.does(streams([START, TEXT, HI, STOPPED, padding, padding, STOP]));
  expect(await failureOf(stream())).toMatchObject({ reason: "PROVIDER_BAD_RESPONSE" });
});

test("a stream that stopped and did not end is cut, and its end is not told", async () => {
  standIn.does(streams([START, TEXT, HI, STOPPED]));
  expect(await failureOf(stream())).toMatchObject({ reason: "PROVIDER_STREAM_CUT" });
  expect(relayed.join("")).toBe(START + TEXT + HI);
});

test("a thread that the provider has lost is the request's fault, and not the model's", async () => {
  const answers404 = (error: object) =>
    standIn.does(
      (response) =>
        void response
          .writeHead(404, { "content-type": "application/json" })
          .end(JSON.stringify({ type: "error", error })),
    );
  const details = { error_code: "thread_not_found" };
  answers404({ type: "not_found_error", message: "No thread.", details });
  expect(await failureOf(provider.complete({ ...callOf(), native }))).toMatchObject({
    reason: "PROVIDER_INVALID_REQUEST",
    metadata: { provider_code: "thread_not_found", provider_type: "not_found_error" },
  });
  answers404({ type: "not_found_error", message: "model: fast" });
  expect(await failureOf(provider.complete({ ...callOf(), native }))).toMatchObject({
    reason: "PROVIDER_MODEL_NOT_FOUND",
  });
});
