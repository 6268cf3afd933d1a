import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";
import { user } from "../support/openai-bench.ts";
import { streams } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";

/** What Anthropic and its client say to each other that the gateway has never heard of arrives, to the byte. */

let provider: ScriptedProvider;
let gateway: GatewayUnderTest;
let secret: string;

beforeAll(async () => {
  provider = await ScriptedProvider.start();
  gateway = await startGatewayUnderTest({
    env: { ANTHROPIC_API_KEY: "key-of-anthropic", ANTHROPIC_BASE_URL: `${provider.origin}/v1` },
  });
  ({ secret } = await gateway.createKey());
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  await provider[Symbol.asyncDispose]();
});

const ANSWER =
  '{ "id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"n":1.0}},' +
  '{"type":"text","text":"H\\u00e9","citations":[{"type":"new"}]}],"stop_reason":"pause_turn","stop_details":{"x":1.50},' +
  '"usage":{"input_tokens":3,"output_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":0},"service_tier":"priority"}}';

const answersWithText: Parameters<ScriptedProvider["does"]>[0] = (response) =>
  void response.writeHead(200, { "content-type": "application/json" }).end(ANSWER);

beforeEach(() => provider.does(answersWithText));

function post(text: string, headers: Readonly<Record<string, string>> = {}, path = "/v1/messages") {
  return fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { "x-api-key": secret, "content-type": "application/json", ...headers },
    body: text,
  });
}

const MESSAGES = '"messages":[{"role":"user","content":"Hi \\u00e9"}]';

it("a request and its answer are passed on as they were written", async () => {
  const rest =
    `${MESSAGES},"max_tokens":9,"top_k":123456789012345678901234567890,"thinking":{"type":"adaptive"},` +
    '"tools":[{"type":"web_search_20991231","name":"web_search"}],"mcp_servers":[{"x":1.0}],' +
    '"metadata":{"user_id":"u","later":1},"invented":[1.0,{"deep":null}]';
  const response = await post(
    `{"model":"claude-x","tags":{"team":"a"},"fallback_models":["openai/gpt-6"],${rest}}`,
  );
  expect(provider.onlyRequest.path).toBe("/v1/messages");
  expect(provider.onlyRequest.body).toBe(`{"model":"claude-x",${rest}}`);
  expect(await response.text()).toBe(ANSWER);
  expect(response.headers.get("x-llm-gateway-ignored")).toBeNull();
});

it("charges that no price of tokens covers are told by the record", async () => {
  const response = await post(`{"model":"claude-x","max_tokens":9,${MESSAGES}}`);
  const records = async () => {
    const url = `${gateway.url}/v1/costs/records?page_size=1000`;
    const page = await fetch(url, { headers: { authorization: `Bearer ${gateway.adminKey}` } });
    const { records } = (await page.json()) as {
      readonly records: readonly { readonly request_id: string; readonly flags: readonly string[] }[];
    };
    return records.filter(({ request_id }) => request_id === response.headers.get("request-id"));
  };
  await expect
    .poll(records, { interval: 20, timeout: 10_000 })
    .toMatchObject([{ flags: ["CHARGES_BEYOND_TOKENS"] }]);
});

it("a stream is passed on event by event, with their names, and its end waits for the ledger", async () => {
  const event = (type: string, members: string) => `event: ${type}\ndata: {"type":"${type}"${members}}\n\n`;
  const events = [
    event(
      "message_start",
      ',"message":{"id":"msg_1","model":"claude-x","usage":{"input_tokens":3,"output_tokens":1}}',
    ),
    event("ping", ""),
    event(
      "content_block_start",
      ',"index":0,"content_block":{"type":"redacted_thinking","data":"e1\\u0041="}',
    ),
    event("content_block_stop", ',"index":0'),
    event(
      "content_block_start",
      ',"index":1,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}',
    ),
    event("content_block_delta", ',"index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}'),
    event("content_block_stop", ',"index":1'),
    event("hologram", ',"depth":1.50'),
    event("content_block_start", ',"index":2,"content_block":{"type":"text","text":""}'),
    event("content_block_delta", ',"index":2,"delta":{"type":"text_delta","text":"H\\u00e9"}'),
    event("content_block_delta", ',"index":2,"delta":{"type":"citations_delta","citation":{}}'),
    event("content_block_stop", ',"index":2'),
    event("message_delta", ',"delta":{"stop_reason":"pause_turn"},"usage":{"output_tokens":7}'),
  ];
  provider.does(streams([...events, event("message_stop", ',"x":1.0')]));
  const response = await post(`{"model":"claude-x","stream":true,"max_tokens":9,${MESSAGES}}`);
  const text = await response.text();
  const written = events.join("");
  expect(text.slice(0, written.length)).toBe(written);
  const last = text.slice(written.length);
  expect(last).toMatch(
    /^event: message_stop\ndata: \{"type":"message_stop","x":1\.0,"llm_gateway":\{"request_id":"[^"]+",.*"cost_unpriced":true.*\}\}\n\n$/,
  );
});

it("the client's version and betas are the provider's to judge, and no other header is passed on", async () => {
  const client = new Anthropic({ baseURL: gateway.url, apiKey: secret, maxRetries: 0 });
  await client.beta.messages.create({
    ...{
      model: "claude-x",
      max_tokens: 9,
      messages: [user("Hi")],
      betas: ["files-api-2025-04-14", "x-2099"],
    },
    ...{ workspace_id: "wrkspc_other", user_profile_id: "uprof_1" },
  } as Anthropic.Beta.MessageCreateParamsNonStreaming);
  const { headers } = provider.onlyRequest;
  expect(headers).toMatchObject({
    ...{ "x-api-key": "key-of-anthropic", "anthropic-version": "2026-10-21" },
    "anthropic-beta": "files-api-2025-04-14,x-2099",
  });
  expect(
    Object.keys(headers)
      .filter((name) => /^(anthropic|x|authorization)/.test(name))
      .sort(),
  ).toEqual([...["anthropic-beta", "anthropic-version", "x-api-key"]]);
});

it("a request without a version has the one that takes every parameter", async () => {
  await post(`{"model":"claude-x","max_tokens":9,"temperature":0.5,${MESSAGES}}`);
  expect(provider.onlyRequest.headers["anthropic-version"]).toBe("2023-06-01");
  expect(provider.onlyRequest.headers["anthropic-beta"]).toBeUndefined();
});

it.each([
  ["anthropic-version", "latest"],
  ["anthropic-beta", "a b"],
  ["anthropic-beta", "a,,b"],
  ["anthropic-beta", "a".repeat(1_001)],
])("the header %s is refused when it is %j", async (name, value) => {
  const response = await post(`{"model":"claude-x","max_tokens":9,${MESSAGES}}`, { [name]: value });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ type: "error", error: { type: "invalid_request_error" } });
  expect(provider.requests).toEqual([]);
});

it("thinking that another provider did in an earlier turn is left out, and nothing else", async () => {
  const turn = (block: string) => `{"role":"assistant","content":[${block}{"type":"text","text":"a"}]}`;
  const own = '{"type":"thinking","thinking":"t","signature":"c2ln"},';
  const foreign = '{"type":"thinking","thinking":"t","signature":""},';
  const asked = (first: string) =>
    `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"a"},${turn(own)},` +
    `{"role":"user","content":"b"},${turn(first)},{"role":"user","content":"c"}]}`;
  await post(asked(foreign));
  expect(JSON.parse(provider.onlyRequest.body)).toEqual(JSON.parse(asked("")));
});

it("an error of the provider about the request keeps its type, its code and its words", async () => {
  const error = {
    type: "invalid_request_error",
    message: "messages.0.content: too many images",
    details: { error_code: "image_dimensions_too_large" },
  };
  provider.does(
    (response) =>
      void response
        .writeHead(400, { "content-type": "application/json" })
        .end(JSON.stringify({ type: "error", error, request_id: "req_of_provider" })),
  );
  const client = new Anthropic({ baseURL: gateway.url, apiKey: secret, maxRetries: 0 });
  const thrown = await client.messages
    .create({ model: "claude-x", max_tokens: 9, messages: [user("Hi")] })
    .catch((caught: unknown) => caught);
  expect(thrown).toBeInstanceOf(Anthropic.BadRequestError);
  expect(thrown).toMatchObject({
    ...{ status: 400, type: "invalid_request_error", errorCode: "image_dimensions_too_large" },
    apiMessage: expect.stringContaining("messages.0.content: too many images"),
  });
});
