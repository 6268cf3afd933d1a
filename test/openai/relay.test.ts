import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";
import { user } from "../support/openai-bench.ts";
import { chunk, streams } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";

/** What a provider says that the gateway has never heard of reaches the caller to the byte. */

let provider: ScriptedProvider;
let gateway: GatewayUnderTest;
let secret: string;

beforeAll(async () => {
  provider = await ScriptedProvider.start();
  gateway = await startGatewayUnderTest({ env: { OPENAI_BASE_URL: `${provider.origin}/v1` } });
  ({ secret } = await gateway.createKey());
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  await provider[Symbol.asyncDispose]();
});

async function post(text: string): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    body: text,
  });
}

const MESSAGES = '"messages":[{"role":"user","content":"Hi \\u00e9"}]';

it("a request and its answer are passed on as they were written", async () => {
  const answer =
    '{ "id":"chatcmpl-1", "model":"gpt-6-2026-11-01","choices":[{"index":0,"logprobs":{"content":[{"token":"H","logprob":-0.10}]},' +
    '"message":{"role":"assistant","content":"H\\u00e9","annotations":[{"type":"url_citation"}],"audio":{"id":"a"}},"finish_reason":"steered"}],' +
    '"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4},"service_tier":"flex","system_fingerprint":"fp_1","moderation":{"x":1.0}}';
  provider.does(
    (response) => void response.writeHead(200, { "content-type": "application/json" }).end(answer),
  );
  const rest = `${MESSAGES},"seed":123456789012345678901234567890,"invented":[1.0,{"deep":null}]`;
  const response = await post(`{"model":"openai/gpt-6",${rest}}`);
  expect(provider.onlyRequest.body).toBe(`{"model":"gpt-6",${rest}}`);
  expect(await response.text()).toBe(answer);
});

it("a stream is passed on event by event", async () => {
  const events = [
    'data: {"choices":[],"prompt_filter_results":[{"severity":"safe"}]}\n\n',
    chunk({ role: "assistant", content: "" }),
    'data: {"choices":[{"index":0,"delta":{"content":"H\\u00e9"},"logprobs":{"content":[{"logprob":-0.10}]},"finish_reason":null}],"obfuscation":"x7"}\n\n',
    'data: {"choices":[{"index":1,"delta":{"audio":{"data":"UklG"}},"finish_reason":null}]}\n\n',
    'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{},"finish_reason":"steered"}],"service_tier":"flex"}\n\n',
  ];
  const usage = '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1},"x_unknown":1.0}';
  provider.does(streams([...events, `data: ${usage}\n\n`, "data: [DONE]\n\n"]));
  const body = `{"model":"openai/gpt-6",${MESSAGES},"stream":true,"stream_options":{"include_usage":true}}`;
  const text = await (await post(body)).text();
  const written = events.join("");
  expect(text.slice(0, written.length)).toBe(written);
  const [last, done] = text.slice(written.length).split("\n\n");
  expect(last?.startsWith(`data: ${usage.slice(0, -1)},"llm_gateway":{"request_id":`)).toBe(true);
  expect(done).toBe("data: [DONE]");
});

it("several choices arrive, each with its index", async () => {
  const answer = {
    choices: [0, 1].map((index) => ({
      ...{ index, message: { role: "assistant", content: `answer ${index}` }, finish_reason: "stop" },
    })),
    usage: { prompt_tokens: 3, completion_tokens: 2 },
  };
  provider.does(
    (response) =>
      void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer)),
  );
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: secret });
  const { choices } = await client.chat.completions.create({
    ...{ model: "openai/gpt-6", messages: [user("Hi")], n: 2 },
  });
  expect(choices.map(({ message }) => message.content)).toEqual(["answer 0", "answer 1"]);
});
