import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, type IncomingHttpHeaders } from "node:http2";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { question, recordsOf, useOpenAiBench, user } from "../support/openai-bench.ts";

/** The official client, unmodified: its users change the address and the key, and nothing else. */

const bench = useOpenAiBench();
const MODEL = "openai/sim-model";

/** The only body that the provider got for the question. */
function sentFor(marker: string): Readonly<Record<string, unknown>> {
  const requests = bench().requestsOf(marker);
  expect(requests).toHaveLength(1);
  return requests[0]?.body ?? {};
}

const TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
} as const;

describe("a chat completion", () => {
  it("is the provider's answer, with what the gateway knows of it in headers", async () => {
    const { text } = question({ text: "The sky is blue.", cachedTokensIn: 3 });
    const { data, response, request_id } = await bench()
      .client()
      .chat.completions.create({ model: MODEL, messages: [user(text)] })
      .withResponse();
    expect(data.choices[0]?.message.content).toBe("The sky is blue.");
    expect(data.choices[0]?.finish_reason).toBe("stop");
    expect(data.id).toMatch(/^chatcmpl-sim-/);
    expect(data.usage?.prompt_tokens_details?.cached_tokens).toBe(3);
    const record = (await recordsOf(bench())).find((entry) => entry.request_id === request_id);
    expect(record).toMatchObject({ provider: "openai", model: "sim-model", streamed: false });
    const header = (name: string) => response.headers.get(`x-llm-gateway-${name}`);
    expect([header("provider"), header("model"), header("attempts")]).toEqual(["openai", "sim-model", "1"]);
    expect(header("cost-usd")).toBe(record?.cost_usd);
  });

  it("reaches the provider with every member that its caller wrote, known or not", async () => {
    const { marker, text } = question();
    const body = {
      messages: [
        { role: "developer", content: "Be brief.", unknown_of_message: [1.5, null] },
        { role: "user", content: [{ type: "text", text, prompt_cache_breakpoint: { mode: "explicit" } }] },
      ],
      max_completion_tokens: 9,
      logprobs: true,
      top_logprobs: 2,
      logit_bias: { "50256": -100 },
      n: 1,
      service_tier: "flex",
      reasoning_effort: "low",
      verbosity: "low",
      prediction: { type: "content", content: "x" },
      prompt_cache_key: "k",
      safety_identifier: "person-7",
      parallel_tool_calls: false,
      tools: [TOOL, { type: "custom", custom: { name: "run", format: { type: "text" } } }],
      tool_choice: "none",
      invented_in_2030: { nested: [{ deep: "é\u2028" }] },
    };
    await bench()
      .client()
      .chat.completions.create({
        model: MODEL,
        ...body,
      } as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming)
      // The simulator knows only function tools; that it was asked at all is what counts here.
      .catch((error: unknown) => expect(error).toBeInstanceOf(OpenAI.BadRequestError));
    expect(sentFor(marker)).toEqual({ model: "sim-model", ...body });
  });

  it("takes pictures", async () => {
    const { marker, text } = question({ text: "A dot." });
    const picture = `data:image/png;base64,${Buffer.alloc(5_000_000, 7).toString("base64")}`;
    const content = [
      { type: "text" as const, text },
      { type: "image_url" as const, image_url: { url: picture, detail: "low" as const } },
    ];
    const answer = await bench()
      .client()
      .chat.completions.create({ model: MODEL, messages: [{ role: "user", content }] });
    expect(answer.choices[0]?.message.content).toBe("A dot.");
    expect(bench().requestsOf(marker)).toHaveLength(1);
  });

  it("asks for tools, and goes on with their results", async () => {
    const { marker, text } = question({ toolCall: { name: "get_weather", arguments: { city: "Oslo" } } });
    const client = bench().client();
    const first = await client.chat.completions.create({
      ...{ model: MODEL, messages: [user(text)], tools: [TOOL] },
    });
    const message = first.choices[0]?.message;
    expect(first.choices[0]?.finish_reason).toBe("tool_calls");
    const call = message?.tool_calls?.[0];
    if (!message || call?.type !== "function") throw new Error("no tool call");
    expect(JSON.parse(call.function.arguments)).toEqual({ city: "Oslo" });
    const second = await client.chat.completions.create({
      model: MODEL,
      messages: [
        user("How is it?"),
        message,
        { role: "tool", tool_call_id: call.id, content: `4 °C ${marker}` },
      ],
    });
    expect(second.choices[0]?.finish_reason).toBe("stop");
    expect(bench().requestsOf(marker).at(-1)?.body.messages).toMatchObject([{}, { tool_calls: [call] }, {}]);
  });

  it("parses structured output", async () => {
    const { text } = question();
    const Weather = z.object({ city: z.string(), degrees: z.number() });
    const answer = await bench()
      .client()
      .chat.completions.parse({
        model: MODEL,
        messages: [user(text)],
        response_format: zodResponseFormat(Weather, "weather"),
      });
    expect(Weather.safeParse(answer.choices[0]?.message.parsed).success).toBe(true);
  });

  it("runs tools with the client's own helper", async () => {
    const { text } = question({ toolCall: { name: "get_weather", arguments: { city: "Oslo" } }, times: 1 });
    const asked: unknown[] = [];
    const tool = zodFunction({
      name: "get_weather",
      parameters: z.object({ city: z.string() }),
      function: (parameters) => {
        asked.push(parameters);
        return "4 °C";
      },
    });
    const runner = bench()
      .client()
      .chat.completions.runTools({ model: MODEL, messages: [user(text)], tools: [tool] });
    expect(await runner.finalContent()).toContain("w00");
    expect(asked).toEqual([{ city: "Oslo" }]);
    expect((await runner.totalUsage()).completion_tokens).toBeGreaterThan(16);
  });
});

describe("the gateway's own extras", () => {
  it("are tags from metadata, the end user and fallback models, none of which the provider is told of", async () => {
    const { marker, text } = question({ status: 500 });
    const { data, response, request_id } = await bench()
      .client()
      .chat.completions.create({
        model: MODEL,
        messages: [user(text)],
        metadata: { team: "search" },
        user: "person-7",
        ...{ fallback_models: ["deepseek/sim-model"] },
      })
      .withResponse();
    expect(data.choices).toHaveLength(1);
    expect(response.headers.get("x-llm-gateway-provider")).toBe("deepseek");
    expect(Number(response.headers.get("x-llm-gateway-attempts"))).toBeGreaterThan(1);
    const records = (await recordsOf(bench())).filter((entry) => entry.request_id === request_id);
    for (const record of records)
      expect(record).toMatchObject({ tags: { team: "search" }, end_user: "person-7" });
    const bodies = bench()
      .requestsOf(marker)
      .map(({ body }) => Object.keys(body).sort());
    expect(bodies[0]).toEqual(["messages", "model", "user"]);
    // DeepSeek's name of it.
    expect(bodies.at(-1)).toEqual(["messages", "model", "user_id"]);
  });

  it("leave metadata in a request that is to be stored", async () => {
    const { marker, text } = question();
    const stored = { store: true, metadata: { team: "search" } };
    await bench()
      .client()
      .chat.completions.create({ model: MODEL, messages: [user(text)], ...stored });
    expect(sentFor(marker)).toMatchObject(stored);
  });

  it("take an idempotency key as the request's id, or make one of it", async () => {
    const ask = async (key: string) => {
      const { text } = question();
      const call = bench()
        .client()
        .chat.completions.create(
          { model: MODEL, messages: [user(text)] },
          { headers: { "Idempotency-Key": key } },
        );
      return (await call.withResponse()).request_id;
    };
    const short = randomUUID();
    expect(await ask(short)).toBe(short);
    const long = `a-key-that-is-too-long-${randomUUID()}-${randomUUID()}`;
    expect(await ask(long)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it("tell what is left of the key's limits", async () => {
    const limits = { requestsPerMinute: 100, tokensPerMinute: 100_000n };
    const limited = await bench().createKey({ limits });
    const { text } = question();
    const { response } = await bench()
      .client({ apiKey: limited.secret })
      .chat.completions.create({ model: MODEL, messages: [user(text)], max_completion_tokens: 50 })
      .withResponse();
    const header = (name: string) => response.headers.get(`x-ratelimit-${name}`);
    expect(header("limit-requests")).toBe("100");
    expect(header("remaining-requests")).toBe("99");
    expect(header("limit-tokens")).toBe("100000");
    expect(Number(header("remaining-tokens"))).toBeLessThan(100_000 - 50);
    expect(header("reset-requests")).toMatch(/^\d+(\.\d+)?m?s$/);
  });
});

it("is counted, logged and served over HTTP/2 as any other call", async () => {
  const { text } = question();
  const session = connect(bench().url);
  const stream = session.request({
    ":method": "POST",
    ":path": "/v1/chat/completions",
    authorization: `Bearer ${bench().key.secret}`,
  });
  stream.end(JSON.stringify({ model: MODEL, messages: [user(text)], stream: true }));
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  session.close();
  expect(headers[":status"]).toBe(200);
  expect(Buffer.concat(chunks).toString().endsWith("data: [DONE]\n\n")).toBe(true);
  const requestId = String(headers["x-request-id"]);
  await expect.poll(() => bench().process.output(), { interval: 20 }).toContain(requestId);
  const line = bench()
    .process.output()
    .split("\n")
    .find((candidate) => candidate.includes(requestId) && candidate.includes('"event":"request"'));
  expect(JSON.parse(line ?? "{}")).toMatchObject({
    ...{ method: "POST /v1/chat/completions", protocol: "openai", outcome: "ok", streamed: true },
    ...{ model: MODEL, provider: "openai", attempts: 1, tokens_out: 16 },
  });
  const metrics = await (await fetch(`${bench().url}/metrics`)).text();
  const counted = new RegExp(
    `llm_gateway_requests_total\\{api_key_id="${bench().key.apiKeyId}",provider="openai",status="ok"\\} [1-9]`,
  );
  expect(metrics).toMatch(counted);
});

describe("the list of models", () => {
  it("has what the key may ask for, one by one, too", async () => {
    const client = bench().client();
    const ids = (await client.models.list()).data.map(({ id }) => id);
    expect(ids).toEqual([
      "chain",
      "deepseek/sim-model",
      "huggingface/sim-org/sim-model:sim",
      "openai/sim-model",
    ]);
    expect(await client.models.retrieve("huggingface/sim-org/sim-model:sim")).toMatchObject({
      ...{ object: "model", owned_by: "huggingface" },
    });
    const allowed = await bench().createKey({ allowedModels: ["openai/sim-model"] });
    const own = bench().client({ apiKey: allowed.secret });
    expect((await own.models.list()).data.map(({ id }) => id)).toEqual(["chain", "openai/sim-model"]);
    await expect(own.models.retrieve("deepseek/sim-model")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});
