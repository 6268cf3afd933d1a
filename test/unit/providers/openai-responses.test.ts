import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { NativeRequest, StreamDelta } from "../../../src/core/completion.ts";
import type { Provider, ProviderCall } from "../../../src/core/provider.ts";
import type { ProviderTypeName } from "../../../src/core/provider-types.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { describeProvider } from "../../suites/provider-suite.ts";
import {
  answersJson,
  answersWith,
  callOf,
  chunk,
  event,
  failureOf,
  streams,
} from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";
import { namedEvent, openAiResponsesWire } from "../../support/wires/openai-responses-wire.ts";

function nativeOf(members: object): NativeRequest {
  const text = JSON.stringify({ model: "alias", input: "Hello", ...members });
  return {
    ...{ dialect: "openai-responses", text, body: JSON.parse(text) },
    ...{ gatewayMembers: [], untranslatable: "all" },
  };
}

/** The provider as those see it who ask in the dialect; without the text that is relayed, which others do not have. */
function speaking(provider: Provider): Provider {
  return {
    name: provider.name,
    dialects: provider.dialects,
    complete: async (call: ProviderCall) => {
      const { native: _, ...answer } = await provider.complete({ ...call, native: nativeOf({}) });
      return answer;
    },
    stream: async (call, sink) => {
      const asked = { ...call, native: nativeOf({ stream: true }) };
      const { native: _, ...end } = await provider.stream(asked, (deltas, events) =>
        deltas.length > 0 ? sink(deltas, events) : undefined,
      );
      return end;
    },
    close: () => provider.close(),
  };
}

describeProvider({
  profile: "openai",
  fixtures: "openai-responses",
  wire: openAiResponsesWire,
  speaking,
  basePath: "/v1",
  model: "gpt-5-mini",
  responseModel: "gpt-5-mini-2025-08-07",
  headers: { "OpenAI-Organization": "org-1", "OpenAI-Project": "proj-1" },
  requestId: "req_0a1b2c",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 76,
    cacheReadTokensIn: 1_024,
    cacheWriteTokensIn: 100,
    textTokensOut: 54,
    reasoningTokensOut: 256,
  },
  reasoning: "A greeting.",
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 1_250 },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-spend-limit": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-content-filter": { reason: "CONTENT_FILTERED" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
    "error-server": { reason: "PROVIDER_ERROR" },
  },
});

describe("the Responses API in particular", () => {
  let standIn: ScriptedProvider;
  let provider: Provider;
  let relayed: string;
  let deltas: StreamDelta[];
  beforeAll(async () => {
    standIn = await ScriptedProvider.start();
    provider = providerOf("openai");
  });
  afterAll(async () => {
    await provider.close();
    await standIn[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    relayed = "";
    deltas = [];
  });

  function providerOf(profile: ProviderTypeName): Provider {
    return createProvider({
      ...{ name: profile, profile, baseUrl: standIn.origin },
      ...{ apiKey: "sk-test-canary-0123456789", connectTimeoutMs: 2_000 },
    });
  }

  const complete = () => provider.complete({ ...callOf(), native: nativeOf({}) });
  const stream = (from = provider) =>
    from.stream({ ...callOf(), native: nativeOf({ stream: true }) }, (pushed, events = "") => {
      deltas.push(...pushed);
      relayed += events;
      return undefined;
    });
  const { begin, text } = openAiResponsesWire;
  const completed = (response: object) =>
    namedEvent("response.completed", { response: { status: "completed", ...response } });
  const USAGE = { input_tokens: 9, output_tokens: 2 };

  it("a provider says by its dialects whether it has it", () => {
    expect(provider.dialects).toEqual(new Set(["openai-chat", "openai-responses"]));
    expect(providerOf("anthropic").dialects.has("openai-responses")).toBe(false);
  });

  it("the caller's text is sent, with another model and without what is the gateway's", async () => {
    standIn.does(answersWith("openai-responses/completion.json"));
    const rest = '"input":[{"role":"user","content":"H\\u00e9"}],"n":12345678901234567890,"x":[1.0]';
    const native = { ...nativeOf({}), gatewayMembers: ["fallback_models"] };
    await provider.complete({
      ...callOf({ model: "gpt-6" }),
      native: { ...native, text: `{"model":"alias","fallback_models":["a/b"],${rest}}` },
    });
    expect(standIn.onlyRequest.path).toBe("/responses");
    expect(standIn.onlyRequest.body).toBe(`{"model":"gpt-6",${rest}}`);
  });

  it("a refusal is a part of its own", async () => {
    standIn.does(answersWith("openai-responses/completion-refusal.json"));
    const { choices } = await complete();
    expect(choices[0]?.message.parts).toEqual([{ kind: "refusal", text: "I cannot help with that." }]);
  });

  it("the event that ends the stream waits for the end, with its name; all before it is relayed as it was written", async () => {
    const unknown = namedEvent("response.invented_in_2030.delta", { x: 1 });
    const last = completed({ output: [], usage: USAGE });
    standIn.does(streams([begin, text("Hi"), unknown, last, event("[DONE]")]));
    const end = await stream();
    expect(relayed + end.native?.tail).toBe(begin + text("Hi") + unknown);
    expect(`event: ${end.native?.usageEvent}\ndata: ${end.native?.usageJson}\n\n`).toBe(last);
    expect(end.usage).toMatchObject({ kind: "reported", usage: { tokensIn: 9, tokensOut: 2 } });
  });

  it("nothing is relayed before there is content, however much of the request the first events repeat", async () => {
    const instructions = "x".repeat(3_000_000);
    const created = namedEvent("response.created", { response: { instructions } });
    standIn.does(streams([created, created.replaceAll("created", "in_progress")]));
    expect(await failureOf(stream())).toMatchObject({ reason: "PROVIDER_STREAM_CUT" });
    expect(relayed).toBe("");
    standIn.does(streams([created, text("Hi"), completed({ usage: USAGE })]));
    await stream();
    expect(relayed).toBe(created + text("Hi"));
  });

  it("an event may be as long as a picture", async () => {
    const result = "iVBORw0K".repeat(400_000);
    const image = { id: "ig_1", type: "image_generation_call", result };
    const done = namedEvent("response.output_item.done", { output_index: 0, item: image });
    standIn.does(streams([begin, done, completed({ output: [image], usage: USAGE })]));
    const end = await stream();
    expect(relayed + end.native?.tail).toBe(begin + done);
    expect(end.chargesBeyondTokens).toBe(true);
  });

  it.each<readonly [string, object, string]>([
    ["max_output_tokens", { output: [{ type: "message", content: [] }] }, "length"],
    ["content_filter", {}, "content_filter"],
    ["steered", {}, "length"],
  ])("a response that is incomplete for %s is an answer", async (reason, members, finishReason) => {
    const response = {
      status: "incomplete",
      incomplete_details: { reason },
      usage: USAGE,
      output: [],
      ...members,
    };
    standIn.does(answersJson(response));
    expect((await complete()).choices[0]?.finishReason).toBe(finishReason);
    standIn.does(streams([begin, text("Hi"), namedEvent("response.incomplete", { response })]));
    const end = await stream();
    expect(end.finishReasons).toEqual([{ choiceIndex: 0, finishReason }]);
    expect(end.native?.usageEvent).toBe("response.incomplete");
  });

  it.each([
    ["server_error", "PROVIDER_ERROR"],
    ["rate_limit_exceeded", "PROVIDER_RATE_LIMITED"],
    ["invalid_prompt", "PROVIDER_INVALID_REQUEST"],
    ["image_content_policy_violation", "CONTENT_FILTERED"],
    ["invented_in_2030", "PROVIDER_ERROR"],
  ])(
    "a response that failed with %s is the failure %s, with the usage that it states",
    async (code, reason) => {
      const response = { status: "failed", error: { code, message: "No." }, output: [], usage: USAGE };
      const expected = {
        reason,
        billing: "maybe_billed",
        usage: { kind: "reported", usage: { tokensIn: 9 } },
      };
      standIn.does(answersJson(response));
      expect(await failureOf(complete())).toMatchObject(expected);
      standIn.does(streams([begin, namedEvent("response.failed", { response })]));
      expect(await failureOf(stream())).toMatchObject(expected);
      expect(relayed).toBe("");
    },
  );

  it.each([400, 404])(
    "a response of earlier that is not there (%i) is the caller's mistake",
    async (status) => {
      const error = { code: "previous_response_not_found", type: "invalid_request_error", message: "No." };
      standIn.does((response) => {
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error }));
      });
      for (const failure of [await failureOf(complete()), await failureOf(stream())]) {
        expect(failure).toMatchObject({ reason: "PROVIDER_INVALID_REQUEST", billing: "not_billed" });
        expect(failure.metadata.provider_code).toBe("previous_response_not_found");
      }
    },
  );

  it("OpenRouter's error_type says which of the errors of one code it is", async () => {
    const failed = {
      ...{ status: "failed", output: [], error_type: "context_length_exceeded" },
      error: { code: "invalid_prompt", message: "No." },
    };
    standIn.does(answersJson(failed));
    expect((await failureOf(complete())).reason).toBe("CONTEXT_TOO_LONG");
    standIn.does(streams([begin, namedEvent("response.failed", { response: failed })]));
    expect((await failureOf(stream())).reason).toBe("CONTEXT_TOO_LONG");
  });

  it("an error event is one in either form, and its own type is not passed on as that of the error", async () => {
    const error = {
      type: "invalid_request_error",
      code: "invalid_prompt",
      message: "No.",
      param: "input[0]",
    };
    for (const members of [{ error }, { ...error, type: "error" }]) {
      standIn.does(streams([`event: error\n${event({ type: "error", ...members })}`]));
      const { reason, metadata } = await failureOf(stream());
      expect(reason).toBe("PROVIDER_INVALID_REQUEST");
      expect(metadata).toMatchObject({ provider_code: "invalid_prompt", provider_param: "input[0]" });
      expect(metadata.provider_type).not.toBe("error");
    }
  });

  it("[DONE] does not make a stream whole that did not say that it ended", async () => {
    standIn.does(streams([begin, text("Hi"), event("[DONE]")]));
    expect(await failureOf(stream())).toMatchObject({
      reason: "PROVIDER_STREAM_CUT",
      received: { deltas: 1 },
    });
  });

  it("custom tools and refusals are streamed as what there is for them", async () => {
    const item = { id: "ctc_1", type: "custom_tool_call", call_id: "call_9", name: "run", input: "" };
    const place = { item_id: "ctc_1", output_index: 1 };
    standIn.does(
      streams([
        begin,
        namedEvent("response.refusal.delta", { delta: "No." }),
        namedEvent("response.output_item.added", { output_index: 1, item }),
        namedEvent("response.custom_tool_call_input.delta", { ...place, delta: "ls" }),
        completed({ usage: USAGE }),
      ]),
    );
    const end = await stream();
    const call = { kind: "tool_call", choiceIndex: 0, toolIndex: 0 };
    expect(deltas).toEqual([
      { kind: "text", choiceIndex: 0, text: "No." },
      { ...call, id: "call_9", name: "run", argumentsDelta: "" },
      { ...call, id: undefined, name: undefined, argumentsDelta: "ls" },
    ]);
    expect(end.finishReasons).toEqual([{ choiceIndex: 0, finishReason: "tool_calls" }]);
  });

  it("an answer that comes whole in the last event is not lost", async () => {
    const output = [
      { type: "reasoning", summary: [{ type: "summary_text", text: "Hm." }] },
      { type: "message", content: [{ type: "output_text", text: "Hi" }] },
      { type: "function_call", call_id: "call_1", name: "f", arguments: "{}" },
    ];
    standIn.does(streams([begin, completed({ output, usage: USAGE })]));
    const end = await stream();
    expect(deltas.map(({ kind }) => kind)).toEqual(["reasoning", "text", "tool_call"]);
    expect(end.usage.kind).toBe("reported");
  });

  it.each([
    ["flex", true],
    ["default", undefined],
  ])("an answer in the tier %s says whether the listed prices hold: %s", async (tier, expected) => {
    const ended = { status: "completed", output: [], usage: USAGE, service_tier: tier };
    standIn.does(answersJson(ended));
    expect((await complete()).chargesBeyondTokens).toBe(expected);
    standIn.does(streams([begin, text("Hi"), completed(ended)]));
    expect((await stream()).chargesBeyondTokens).toBe(expected);
  });

  it.each([
    ["web_search_call", true],
    ["code_interpreter_call", true],
    ["invented_call", true],
    ["function_call", undefined],
    ["computer_call", undefined],
  ])("an output with a %s says whether tools are billed apart: %s", async (type, expected) => {
    const response = { status: "completed", output: [{ id: "x", type }], usage: USAGE };
    standIn.does(answersJson(response));
    expect((await complete()).chargesBeyondTokens).toBe(expected);
    const added = namedEvent("response.output_item.added", { output_index: 0, item: { id: "x", type } });
    standIn.does(streams([begin, added, text("Hi"), completed({ usage: USAGE })]));
    expect((await stream()).chargesBeyondTokens).toBe(expected);
    standIn.does(streams([begin, added, text("Hi")]));
    expect((await failureOf(stream())).chargesBeyondTokens).toBe(expected ?? false);
  });

  it("xAI counts reasoning on top of the output, which the total tells", async () => {
    const xai = providerOf("xai");
    const usage = {
      ...{ input_tokens: 32, output_tokens: 9, total_tokens: 151 },
      output_tokens_details: { reasoning_tokens: 110 },
    };
    standIn.does(streams([begin, text("Hi"), completed({ usage })]));
    const end = await stream(xai);
    expect(end.usage).toMatchObject({ usage: { tokensOut: 119, textTokensOut: 9, reasoningTokensOut: 110 } });
    await xai.close();
  });

  it.each([
    ["sources of a search", { num_sources_used: 2 }, true],
    ["tools of xAI's", { num_server_side_tools_used: 1 }, true],
    ["what OpenRouter's tools cost", { cost_details: { server_tool_cost: 0.01 } }, true],
    ["none of them", { num_sources_used: 0, cost_details: { server_tool_cost: 0 } }, undefined],
  ])("a usage that states %s says whether tools are billed apart", async (_, stated, expected) => {
    const usage = { ...USAGE, ...stated };
    standIn.does(answersJson({ status: "completed", output: [], usage }));
    expect((await complete()).chargesBeyondTokens).toBe(expected);
    standIn.does(streams([begin, text("Hi"), completed({ usage })]));
    expect((await stream()).chargesBeyondTokens).toBe(expected);
    const chat = { prompt_tokens: 9, completion_tokens: 2, ...stated };
    const choices = [{ index: 0, message: { content: "Hi" }, finish_reason: "stop" }];
    standIn.does(answersJson({ choices, usage: chat }));
    expect((await provider.complete(callOf())).chargesBeyondTokens).toBe(expected);
    standIn.does(streams([chunk({ content: "Hi" }, "stop"), event({ choices: [], usage: chat })]));
    expect((await provider.stream(callOf(), () => undefined)).chargesBeyondTokens).toBe(expected);
  });

  it("OpenRouter's stated cost is kept", async () => {
    const openrouter = providerOf("openrouter");
    standIn.does(streams([begin, text("Hi"), completed({ usage: { ...USAGE, cost: 0.00012 } })]));
    expect((await stream(openrouter)).providerCostPicoUsd).toBe(120_000_000n);
    await openrouter.close();
  });
});
