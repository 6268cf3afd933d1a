import type OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { question, recordsOf, useOpenAiBench } from "../support/openai-bench.ts";

/** `client.responses` of the official client, unmodified. After each test the ledger is the provider's bill. */

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
  name: "get_weather",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: false,
} as const;

describe("a response", () => {
  it("is the provider's, with what the gateway knows of it in headers", async () => {
    const { text } = question({ text: "The sky is blue.", cachedTokensIn: 3, reasoningTokens: 2 });
    const { data, response, request_id } = await bench()
      .client()
      .responses.create({ model: MODEL, input: text })
      .withResponse();
    expect(data.output_text).toBe("The sky is blue.");
    expect(data).toMatchObject({ object: "response", status: "completed" });
    expect(data.id).toMatch(/^resp_sim-/);
    expect(data.usage).toMatchObject({
      input_tokens_details: { cached_tokens: 3 },
      output_tokens_details: { reasoning_tokens: 2 },
    });
    const record = (await recordsOf(bench())).find((entry) => entry.request_id === request_id);
    expect(record).toMatchObject({ provider: "openai", model: "sim-model", streamed: false });
    const header = (name: string) => response.headers.get(`x-llm-gateway-${name}`);
    expect([header("provider"), header("model"), header("attempts")]).toEqual(["openai", "sim-model", "1"]);
    expect(header("cost-usd")).toBe(record?.cost_usd);
    expect(header("cost-estimated")).toBeNull();
  });

  it("reaches the provider with every member that its caller wrote, known or not", async () => {
    const { marker, text } = question();
    const body = {
      instructions: "Be brief.",
      input: [
        { role: "developer", content: "Be kind." },
        {
          role: "user",
          content: [{ type: "input_text", text, prompt_cache_breakpoint: { mode: "explicit" } }],
        },
        { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "Hm." }] },
        { type: "function_call", call_id: "call_1", name: "get_weather", arguments: "{}" },
        { type: "function_call_output", call_id: "call_1", output: "4 °C" },
      ],
      include: ["reasoning.encrypted_content"],
      max_output_tokens: 9,
      max_tool_calls: 3,
      metadata: { team: "search" },
      parallel_tool_calls: false,
      prompt_cache_key: "k",
      reasoning: { effort: "low", summary: "auto" },
      safety_identifier: "person-7",
      service_tier: "flex",
      text: { format: { type: "text" }, verbosity: "low" },
      tools: [TOOL, { type: "web_search" }, { type: "custom", name: "run" }],
      tool_choice: "none",
      truncation: "auto",
      invented_in_2030: { nested: [{ deep: "é\u2028" }] },
    };
    const { request_id } = await bench()
      .client()
      .responses.create({
        model: MODEL,
        ...body,
      } as unknown as OpenAI.Responses.ResponseCreateParamsNonStreaming)
      .withResponse();
    expect(sentFor(marker)).toEqual({ model: "sim-model", ...body });
    const record = (await recordsOf(bench())).find((entry) => entry.request_id === request_id);
    expect(record).toMatchObject({ tags: { team: "search" }, end_user: "person-7" });
  });

  it("that is not to be kept has no metadata at the provider, and its tags all the same", async () => {
    const { marker, text } = question();
    const asked = { model: MODEL, input: text, store: false, metadata: { team: "ads" } };
    const { request_id } = await bench().client().responses.create(asked).withResponse();
    expect(sentFor(marker)).toEqual({ model: "sim-model", input: text, store: false });
    const record = (await recordsOf(bench())).find((entry) => entry.request_id === request_id);
    expect(record?.tags).toEqual({ team: "ads" });
  });

  it("takes pictures", async () => {
    const { marker, text } = question({ text: "A dot." });
    const image_url = `data:image/png;base64,${Buffer.alloc(5_000_000, 7).toString("base64")}`;
    const content = [
      { type: "input_text" as const, text },
      { type: "input_image" as const, image_url, detail: "low" as const },
    ];
    const input = [{ role: "user" as const, content }];
    const answer = await bench().client().responses.create({ model: MODEL, input });
    expect(answer.output_text).toBe("A dot.");
    expect(bench().requestsOf(marker)).toHaveLength(1);
  });

  it("calls tools, and goes on with what they gave", async () => {
    const { text } = question({ toolCall: { name: "get_weather", arguments: { city: "Oslo" } }, times: 1 });
    const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: text }];
    const first = await bench()
      .client()
      .responses.create({ model: MODEL, input, tools: [TOOL] });
    const [call] = first.output;
    if (call?.type !== "function_call") throw new Error("expected a call");
    expect(JSON.parse(call.arguments)).toEqual({ city: "Oslo" });
    input.push(call, { type: "function_call_output", call_id: call.call_id, output: "4 °C" });
    const second = await bench()
      .client()
      .responses.create({ model: MODEL, input, tools: [TOOL] });
    expect(second.output_text).not.toBe("");
  });

  it("is parsed by the client's helpers: objects of a schema, and arguments of tools", async () => {
    const City = z.object({ city: z.string() });
    const structured = await bench()
      .client()
      .responses.parse({
        ...{ model: MODEL, input: question().text },
        text: { format: zodTextFormat(City, "city") },
      });
    expect(City.safeParse(structured.output_parsed).success).toBe(true);
    const { text } = question({ toolCall: { name: "get_weather", arguments: { city: "Oslo" } } });
    const tools = [zodResponsesFunction({ name: "get_weather", parameters: City })];
    const called = await bench().client().responses.parse({ model: MODEL, input: text, tools });
    expect(called.output[0]).toMatchObject({ parsed_arguments: { city: "Oslo" } });
  });

  it("that was cut short by its limit is an answer", async () => {
    const { text } = question({ tokensOut: 20 });
    const answer = await bench()
      .client()
      .responses.create({ model: MODEL, input: text, max_output_tokens: 5 });
    expect(answer).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      usage: { output_tokens: 5 },
    });
  });
});

describe("another provider", () => {
  it("answers when the first one fails, if it has the API", async () => {
    const { text } = question({ status: 503 });
    const { response } = await bench()
      .client()
      .responses.create({
        ...{ model: "openai/failing-503", input: text },
        ...{ fallback_models: ["deepseek/sim-model"] },
      })
      .withResponse();
    expect(response.headers.get("x-llm-gateway-provider")).toBe("deepseek");
  });

  it("is not asked for what only the first one keeps", async () => {
    const { text } = question({ status: 503 });
    const asked = { model: "openai/failing-state", input: text, previous_response_id: "resp_1" };
    const error = await bench()
      .client({ maxRetries: 0 })
      .responses.create({ ...asked, ...{ fallback_models: ["deepseek/sim-model"] } })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ status: 503 });
    const { requestID } = error as InstanceType<typeof OpenAI.APIError>;
    const records = (await recordsOf(bench())).filter(({ request_id }) => request_id === requestID);
    expect(new Set(records.map(({ provider }) => provider))).toEqual(new Set(["openai"]));
  });
});
