import { randomUUID } from "node:crypto";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { useAnthropicBench } from "../support/anthropic-bench.ts";
import { question, recordsOf, user } from "../support/openai-bench.ts";

/** The official client, unmodified: its users change the address and the key, and nothing else. */

const bench = useAnthropicBench();

const TOOL = {
  name: "get_weather",
  description: "Tells the weather.",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
} as const satisfies Anthropic.Tool;

/** The only body that the provider got for the question. */
function sentFor(marker: string): Readonly<Record<string, unknown>> {
  const requests = bench().requestsOf(marker);
  expect(requests).toHaveLength(1);
  return requests[0]?.body ?? {};
}

describe.each(["anthropic", "openai", "deepseek", "gemini"] as const)("in front of %s", (provider) => {
  const base = { model: `${provider}/sim-model`, max_tokens: 200 };

  it("a message is answered, with what the gateway knows of it in headers", async () => {
    const { text } = question({ text: "Grüße, 日本", cachedTokensIn: 3 }, provider);
    const { data, response, request_id } = await bench()
      .client()
      .messages.create({ ...base, messages: [user(text)] })
      .withResponse();
    expect(data).toMatchObject({
      ...{ type: "message", role: "assistant", model: "sim-model", stop_reason: "end_turn" },
      ...{ stop_sequence: null, content: [{ type: "text", text: "Grüße, 日本" }] },
    });
    expect(data.id).toMatch(/^msg_/);
    const record = (await recordsOf(bench())).find((entry) => entry.request_id === request_id);
    expect(record).toMatchObject({ provider, model: "sim-model", streamed: false });
    // Anthropic's input is without what was read from the cache; the ledger's is all of it.
    expect(data.usage).toMatchObject({
      ...{ cache_read_input_tokens: 3, output_tokens: record?.tokens_out },
      input_tokens: Number(record?.tokens_in) - 3,
    });
    const header = (name: string) => response.headers.get(`x-llm-gateway-${name}`);
    expect([header("provider"), header("model"), header("attempts")]).toEqual([provider, "sim-model", "1"]);
    expect(header("cost-usd")).toBe(record?.cost_usd);
    expect(header("ignored")).toBeNull();
    expect(response.headers.get("x-request-id")).toBe(request_id);
  });

  it("a stream ends with its usage and what it cost", async () => {
    const { text } = question({ text: "one two three" }, provider);
    const stream = await bench()
      .client()
      .messages.create({ ...base, messages: [user(text)], stream: true });
    const events: Anthropic.MessageStreamEvent[] = [];
    for await (const event of stream) events.push(event);
    const types = events.map(({ type }) => type).filter((type, at, all) => type !== all[at - 1]);
    expect(types).toEqual([
      ...["message_start", "content_block_start", "content_block_delta", "content_block_stop"],
      ...["message_delta", "message_stop"],
    ]);
    expect(events.at(-2)).toMatchObject({ delta: { stop_reason: "end_turn" }, usage: { output_tokens: 4 } });
    const facts = (events.at(-1) as unknown as { readonly llm_gateway: { readonly request_id: string } })
      .llm_gateway;
    const record = (await recordsOf(bench())).find(({ request_id }) => request_id === facts.request_id);
    expect(facts).toMatchObject({
      provider,
      cost_usd: record?.cost_usd,
      attempts: [{ outcome: "succeeded" }],
    });
  });

  it("the client's helper for streams makes the whole message of it", async () => {
    const script = { toolCall: { name: "get_weather", arguments: { city: "Oslo" } }, reasoningTokens: 3 };
    const { text } = question(script, provider);
    const deltas: string[] = [];
    const message = await bench()
      .client()
      .messages.stream({
        ...{ ...base, messages: [user(text)], tools: [TOOL], thinking: { type: "adaptive" } },
      })
      .on("inputJson", (delta) => deltas.push(delta))
      .finalMessage();
    expect(JSON.parse(deltas.join(""))).toEqual({ city: "Oslo" });
    expect(message).toMatchObject({ stop_reason: "tool_use", role: "assistant" });
    expect(message.content.at(-1)).toMatchObject({
      ...{ type: "tool_use", name: "get_weather", input: { city: "Oslo" } },
    });
    expect(message.usage.input_tokens).toBeGreaterThan(0);
    expect(message.usage.output_tokens).toBeGreaterThan(3);
  });

  it("tools are asked for, and their results go on", async () => {
    const { text } = question({ toolCall: { name: "get_weather", arguments: { city: "Oslo" } } }, provider);
    const client = bench().client();
    const first = await client.messages.create({ ...base, messages: [user(text)], tools: [TOOL] });
    expect(first.stop_reason).toBe("tool_use");
    const call = first.content.find((block) => block.type === "tool_use");
    expect(call).toMatchObject({ name: "get_weather", input: { city: "Oslo" } });
    const { marker } = question();
    const result = { type: "tool_result" as const, tool_use_id: call?.id ?? "", content: `4 °C ${marker}` };
    const second = await client.messages.create({
      ...{ ...base, tools: [TOOL] },
      messages: [
        user("How is it?"),
        { role: "assistant", content: first.content },
        { role: "user", content: [result] },
      ],
    });
    expect(second.stop_reason).toBe("end_turn");
    expect(JSON.stringify(sentFor(marker))).toContain("get_weather");
  });

  it("structured output is parsed by the client", async () => {
    const { text } = question({}, provider);
    const Weather = z.object({ city: z.string(), degrees: z.number() });
    const message = await bench()
      .client()
      .messages.parse({
        ...{ ...base, messages: [user(text)] },
        output_config: { format: zodOutputFormat(Weather) },
      });
    expect(Weather.safeParse(message.parsed_output).success).toBe(true);
  });

  it("the client's own runner of tools comes to an end", async () => {
    const script = { toolCall: { name: "get_weather", arguments: { city: "Oslo" } }, times: 1 };
    const { text } = question(script, provider);
    const asked: unknown[] = [];
    const tool = betaZodTool({
      name: "get_weather",
      description: "Tells the weather.",
      inputSchema: z.object({ city: z.string() }),
      run: (input) => {
        asked.push(input);
        return "4 °C";
      },
    });
    const final = await bench()
      .client()
      .beta.messages.toolRunner({ ...base, messages: [user(text)], tools: [tool] });
    expect(asked).toEqual([{ city: "Oslo" }]);
    expect(final.stop_reason).toBe("end_turn");
  });

  it("pictures are sent on, and so is what the system says", async () => {
    const { marker, text } = question({ text: "A dot." }, provider);
    const data = Buffer.alloc(3_000, 7).toString("base64");
    const image = { type: "base64" as const, media_type: "image/png" as const, data };
    const message = await bench()
      .client()
      .messages.create({
        ...base,
        system: [{ type: "text", text: "Be brief." }],
        messages: [
          {
            role: "user",
            content: [
              { type: "image", source: image },
              { type: "text", text },
            ],
          },
        ],
      });
    expect(message.content).toMatchObject([{ type: "text", text: "A dot." }]);
    const sent = JSON.stringify(sentFor(marker));
    expect(sent).toContain(data);
    expect(sent).toContain("Be brief.");
  });
});

describe("the gateway's own extras", () => {
  it("are tags, the end user and fallback models, and only the user id is sent on", async () => {
    const { marker, text } = question({ status: 500 }, "anthropic");
    const { data, response, request_id } = await bench()
      .client()
      .messages.create({
        ...{ model: "anthropic/sim-model", max_tokens: 100, messages: [user(text)] },
        metadata: { user_id: "person-7" },
        ...{ tags: { team: "search" }, fallback_models: ["openai/sim-model"] },
      })
      .withResponse();
    expect(data.content).toHaveLength(1);
    expect(response.headers.get("x-llm-gateway-provider")).toBe("openai");
    const records = (await recordsOf(bench())).filter((entry) => entry.request_id === request_id);
    expect(records.length).toBeGreaterThan(1);
    for (const record of records)
      expect(record).toMatchObject({ tags: { team: "search" }, end_user: "person-7" });
    const bodies = bench()
      .requestsOf(marker)
      .map(({ body }) => Object.keys(body).sort());
    expect(bodies[0]).toEqual(["max_tokens", "messages", "metadata", "model"]);
    expect(bodies.at(-1)).toEqual(["max_completion_tokens", "messages", "model", "user"]);
  });

  it("take a user id of any length, and count a long one as its digest", async () => {
    const { marker, text } = question({}, "anthropic");
    const userId = `user_${"a".repeat(64)}_account_${randomUUID()}_session_${randomUUID()}`;
    const { request_id } = await bench()
      .client()
      .messages.create({
        ...{ model: "anthropic/sim-model", max_tokens: 100, messages: [user(text)] },
        metadata: { user_id: userId },
      })
      .withResponse();
    expect(sentFor(marker).metadata).toEqual({ user_id: userId });
    const record = (await recordsOf(bench())).find((entry) => entry.request_id === request_id);
    expect(record?.end_user).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it("tell what is left of the key's limits", async () => {
    const limits = { requestsPerMinute: 100, tokensPerMinute: 100_000n };
    const limited = await bench().createKey({ limits });
    const { text } = question({}, "anthropic");
    const { response } = await bench()
      .client({ apiKey: limited.secret })
      .messages.create({ model: "anthropic/sim-model", max_tokens: 50, messages: [user(text)] })
      .withResponse();
    const header = (name: string) => response.headers.get(`anthropic-ratelimit-${name}`);
    expect([header("requests-limit"), header("requests-remaining")]).toEqual(["100", "99"]);
    expect(header("tokens-limit")).toBe("100000");
    expect(Number(header("tokens-remaining"))).toBeLessThan(100_000 - 50);
    expect(header("requests-reset")).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(Date.parse(header("requests-reset") ?? "")).toBeGreaterThan(Date.now() - 1_000);
  });
});

it("a message is counted, logged and measured as any other call", async () => {
  const { text } = question({}, "anthropic");
  const { request_id } = await bench()
    .client()
    .messages.create({ model: "anthropic/sim-model", max_tokens: 50, messages: [user(text)], stream: true })
    .withResponse()
    .then(async ({ data, request_id }) => {
      for await (const _ of data);
      return { request_id };
    });
  const lines = () => bench().process.output().split("\n");
  const lineOf = () =>
    lines().find((line) => line.includes(String(request_id)) && line.includes('"event":"request"'));
  await expect.poll(lineOf, { interval: 20, timeout: 10_000 }).toBeDefined();
  expect(JSON.parse(lineOf() ?? "{}")).toMatchObject({
    ...{ method: "POST /v1/messages", protocol: "anthropic", outcome: "ok", streamed: true },
    ...{ model: "anthropic/sim-model", provider: "anthropic", attempts: 1, tokens_out: 16 },
  });
  const metrics = await (await fetch(`${bench().url}/metrics`)).text();
  expect(metrics).toMatch(
    /llm_gateway_requests_total\{api_key_id="[^"]+",provider="anthropic",status="ok"\} [1-9]/,
  );
});

describe("the list of models", () => {
  it("is Anthropic's for its client, and OpenAI's for all others", async () => {
    const client = bench().client();
    const ids: string[] = [];
    for await (const { id, type } of client.models.list()) {
      expect(type).toBe("model");
      ids.push(id);
    }
    expect(ids).toContain("openai/sim-model");
    const own = await client.models.retrieve("openai/sim-model");
    expect(own).toMatchObject({ id: "openai/sim-model", type: "model", lifecycle: "active" });
    await expect(client.models.retrieve("no-such")).rejects.toBeInstanceOf(Anthropic.NotFoundError);
    const plain = await fetch(`${bench().url}/v1/models`, { headers: { "x-api-key": bench().key.secret } });
    expect(await plain.json()).toMatchObject({ object: "list" });
  });
});
