import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";
import { answersJson, streams } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";
import { namedEvent } from "../support/wires/openai-responses-wire.ts";

/** What a provider says that the gateway has never heard of reaches the caller to the byte. */

let provider: ScriptedProvider;
let gateway: GatewayUnderTest;
let secret: string;

beforeAll(async () => {
  provider = await ScriptedProvider.start();
  gateway = await startGatewayUnderTest({
    env: {
      OPENAI_BASE_URL: `${provider.origin}/v1`,
      ...{ ANTHROPIC_API_KEY: "key-of-anthropic", ANTHROPIC_BASE_URL: `${provider.origin}/v1` },
    },
  });
  ({ secret } = await gateway.createKey());
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  await provider[Symbol.asyncDispose]();
});

async function post(text: string): Promise<Response> {
  return fetch(`${gateway.url}/v1/responses`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    body: text,
  });
}

interface FlaggedRecord {
  readonly request_id: string;
  readonly usage_source: string;
  readonly flags: readonly string[];
  readonly tokens_out: number;
}

async function recordOf(requestId: string | null | undefined): Promise<FlaggedRecord | undefined> {
  const response = await fetch(`${gateway.url}/v1/costs/records?page_size=1000`, {
    headers: { authorization: `Bearer ${gateway.adminKey}` },
  });
  const { records } = (await response.json()) as { readonly records: readonly FlaggedRecord[] };
  return records.find(({ request_id }) => request_id === requestId);
}

const INPUT = '"input":[{"role":"user","content":"Hi \\u00e9"}]';
const SEARCH = {
  id: "ws_1",
  type: "web_search_call",
  status: "completed",
  action: { type: "search", query: "x" },
};
const MESSAGE = {
  ...{ id: "msg_1", type: "message", status: "completed", role: "assistant" },
  content: [{ type: "output_text", text: "It rains.", annotations: [{ type: "url_citation" }] }],
};
const USAGE = { input_tokens: 8_000, output_tokens: 3 };

it("a request and its answer are passed on as they were written", async () => {
  const answer =
    '{ "id":"resp_1", "object":"response","status":"completed","model":"gpt-6-2026-11-01","output":[{"type":"reasoning",' +
    '"id":"rs_1","summary":[],"encrypted_content":"gAAA","x":1.0},{"type":"message","id":"msg_1","role":"assistant",' +
    '"content":[{"type":"output_text","text":"H\\u00e9","annotations":[],"logprobs":[{"logprob":-0.10}]}]}],' +
    '"usage":{"input_tokens":3,"output_tokens":1,"total_tokens":4},"service_tier":"flex","moderation":{"x":1.0}}';
  provider.does(
    (response) => void response.writeHead(200, { "content-type": "application/json" }).end(answer),
  );
  const rest = `${INPUT},"seed":123456789012345678901234567890,"invented":[1.0,{"deep":null}]`;
  const response = await post(`{"model":"openai/gpt-6","fallback_models":[],${rest}}`);
  expect(provider.onlyRequest.path).toBe("/v1/responses");
  expect(provider.onlyRequest.body).toBe(`{"model":"gpt-6",${rest}}`);
  expect(await response.text()).toBe(answer);
});

it("a stream is passed on event by event, the last with the gateway's facts", async () => {
  const events = [
    namedEvent("response.created", { sequence_number: 0, response: { id: "resp_1", status: "in_progress" } }),
    'event: response.invented_in_2030.delta\ndata: {"type":"response.invented_in_2030.delta","sequence_number":1,"x":-0.10}\n\n',
    'event: keepalive\ndata: {"type":"keepalive","sequence_number":2}\n\n',
    'data: {"type":"response.output_text.delta","delta":"H\\u00e9","obfuscation":"x7"}\n\n',
  ];
  const last =
    '{"type":"response.completed","sequence_number":3,"response":{"usage":{"input_tokens":3,"output_tokens":1},"x":1.0}}';
  provider.does(streams([...events, `event: response.completed\ndata: ${last}\n\n`, "data: [DONE]\n\n"]));
  const response = await post(`{"model":"openai/gpt-6",${INPUT},"stream":true}`);
  expect(provider.onlyRequest.body).toBe(`{"model":"gpt-6",${INPUT},"stream":true}`);
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  const text = await response.text();
  const written = events.join("");
  expect(text.slice(0, written.length)).toBe(written);
  const end = `event: response.completed\ndata: ${last.slice(0, -1)},"llm_gateway":{"request_id":`;
  expect(text.slice(written.length, written.length + end.length)).toBe(end);
  expect(text.endsWith("}}\n\n")).toBe(true);
});

it("tools that the provider bills apart are let through, and make the cost a lower bound", async () => {
  const tools = [{ type: "web_search", user_location: null }];
  const asked = `{"model":"openai/sim-model",${INPUT},"tools":${JSON.stringify(tools)}`;
  const answer = { object: "response", status: "completed", output: [SEARCH, MESSAGE], usage: USAGE };
  provider.does(answersJson(answer));
  const unary = await post(`${asked}}`);
  expect(await unary.json()).toEqual(answer);
  expect(unary.headers.get("x-llm-gateway-cost-estimated")).toBe("true");
  const flagged = { usage_source: "estimated", flags: ["SEPARATELY_BILLED_TOOLS"], tokens_out: 3 };
  expect(await recordOf(unary.headers.get("x-request-id"))).toMatchObject(flagged);

  const added = namedEvent("response.output_item.added", { output_index: 0, item: SEARCH });
  const delta = namedEvent("response.output_text.delta", { output_index: 1, delta: "It rains." });
  provider.does(streams([added, delta, namedEvent("response.completed", { response: answer })]));
  const streamed = await post(`${asked},"stream":true}`);
  expect(await streamed.text()).toContain('"cost_estimated":true');
  expect(await recordOf(streamed.headers.get("x-request-id"))).toMatchObject(flagged);
});

it("a chat completion that shows a web search is a lower bound, too", async () => {
  const message = { role: "assistant", content: "It rains.", annotations: [{ type: "url_citation" }] };
  const usage = { prompt_tokens: 9, completion_tokens: 3 };
  provider.does(answersJson({ choices: [{ index: 0, message, finish_reason: "stop" }], usage }));
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: secret });
  const { response } = await client.chat.completions
    .create({
      ...{ model: "openai/sim-model", messages: [{ role: "user", content: "Rain?" }] },
      web_search_options: {},
    })
    .withResponse();
  expect(response.headers.get("x-llm-gateway-cost-estimated")).toBe("true");
  expect(await recordOf(response.headers.get("x-request-id"))).toMatchObject({
    flags: ["SEPARATELY_BILLED_TOOLS"],
    tokens_out: 3,
  });
});

it("a provider without the API is left out of the chain, and a chain of such providers is refused", async () => {
  provider.does(answersJson({ object: "response", status: "completed", output: [MESSAGE], usage: USAGE }));
  const chain = '"fallback_models":["openai/sim-model"]';
  const response = await post(`{"model":"anthropic/claude-opus-5",${INPUT},${chain}}`);
  expect(response.headers.get("x-llm-gateway-provider")).toBe("openai");
  expect(provider.onlyRequest.path).toBe("/v1/responses");
  const refused = await post(`{"model":"anthropic/claude-opus-5",${INPUT}}`);
  expect(refused.status).toBe(400);
  expect(await refused.json()).toEqual({
    error: {
      message: 'No provider of the model "anthropic/claude-opus-5" has the Responses API.',
      ...{ type: "invalid_request_error", param: "model", code: null },
    },
  });
  expect(provider.requests).toHaveLength(1);
});
