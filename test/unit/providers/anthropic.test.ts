import { describe, expect, it } from "vitest";
import { createAnthropicDialect } from "../../../src/providers/anthropic/dialect.ts";
import { chargesBeyondTokens, mapUsage } from "../../../src/providers/anthropic/map-usage.ts";
import { NOT_RELAYED } from "../../../src/providers/event-relay.ts";
import { EventStreamDecoder } from "../../../src/providers/event-stream-decoder.ts";
import { API_KEY, describeProvider } from "../../suites/provider-suite.ts";
import { event, readResponse } from "../../support/provider-calls.ts";
import { anthropicWire } from "../../support/wires/anthropic-wire.ts";

describeProvider({
  profile: "anthropic",
  wire: anthropicWire,
  keyHeaders: { "x-api-key": API_KEY, "anthropic-version": "2023-06-01" },
  basePath: "/v1",
  model: "claude-sonnet-4-5",
  responseModel: "claude-sonnet-4-5-20250929",
  headers: {},
  requestId: "req_011CSHoEeqs5C35K2UUqR7Fy",
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
    "error-permission": { reason: "PROVIDER_AUTHENTICATION" },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-spend-limit": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-content-filter": { reason: "CONTENT_FILTERED" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-too-large": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-timeout": { reason: "PROVIDER_ERROR" },
  },
});

describe("a stream of Anthropic's", () => {
  const newDecoder = () => new EventStreamDecoder(createAnthropicDialect([]));
  const start = (usage: unknown) =>
    event({ type: "message_start", message: { model: "m", usage } }) +
    event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hi" } });
  const STARTED = { input_tokens: 7, cache_read_input_tokens: 100, cache_creation_input_tokens: 20 };

  it("states the input early: what is cut then is known by its input, and not by its output", () => {
    const decoder = newDecoder();
    decoder.feed(start({ ...STARTED, output_tokens: 1, output_tokens_details: { thinking_tokens: 9 } }));
    expect(decoder.seen.usage).toEqual({
      kind: "input_only",
      input: { tokensIn: 127, uncachedTokensIn: 7, cacheReadTokensIn: 100, cacheWriteTokensIn: 20 },
    });
    expect(() => decoder.finish()).toThrow(expect.objectContaining({ reason: "PROVIDER_STREAM_CUT" }));
  });

  it("states cumulative usage at the end: it replaces the first, and what it leaves out stands", () => {
    const decoder = newDecoder();
    decoder.feed(start({ ...STARTED, output_tokens: 1 }));
    const usage = { output_tokens: 15, cache_read_input_tokens: null };
    decoder.feed(event({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage }));
    decoder.feed(event({ type: "message_stop" }));
    expect(decoder.finish().usage).toMatchObject({
      kind: "reported",
      usage: { tokensIn: 127, cacheReadTokensIn: 100, tokensOut: 15, textTokensOut: 15 },
    });
  });

  it.each([
    ["negative", { ...STARTED, input_tokens: -1 }, "NEGATIVE"],
    ["text", { ...STARTED, cache_read_input_tokens: "1" }, "NOT_AN_INTEGER"],
  ])("with an input that is %s is flagged and not believed", (_name, usage, anomaly) => {
    const decoder = newDecoder();
    decoder.feed(start({ ...usage, output_tokens: 1 }));
    expect(decoder.seen.usage).toEqual({ kind: "invalid", anomaly });
  });

  it("ends whole with a refusal, and ignores events that it does not know", () => {
    const decoder = newDecoder();
    decoder.feed(start(STARTED) + event({ type: "something_new" }));
    decoder.feed(event({ type: "message_delta", delta: { stop_reason: "refusal" } }));
    decoder.feed(event({ type: "message_stop" }));
    expect(decoder.finish().finishReasons).toEqual([{ choiceIndex: 0, finishReason: "content_filter" }]);
  });

  it("does not take arguments that belong to no tool call", () => {
    const delta = { type: "input_json_delta", partial_json: "{" };
    const text = start(STARTED) + event({ type: "content_block_delta", index: 3, delta });
    expect(() => newDecoder().feed(text)).toThrow(
      expect.objectContaining({ reason: "PROVIDER_BAD_RESPONSE" }),
    );
  });
});

it.each([
  [{ server_tool_use: { web_search_requests: 1 } }, true],
  [{ server_tool_use: { web_search_requests: 0, web_fetch_requests: 3 } }, false],
  [{ server_tool_use: null, service_tier: "standard", speed: "standard", inference_geo: "global" }, false],
  [{ cache_creation: { ephemeral_5m_input_tokens: 5, ephemeral_1h_input_tokens: 0 } }, false],
  [{ cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 5 } }, true],
  [{ service_tier: "priority" }, true],
  [{ speed: "fast" }, true],
  [{ inference_geo: "us" }, true],
])("a usage with %j tells of charges beyond tokens: %s", (members, expected) => {
  const usage = { input_tokens: 3, output_tokens: 2, ...members };
  expect(mapUsage(usage)).toMatchObject({ kind: "reported", usage: { tokensIn: 3, tokensOut: 2 } });
  expect(chargesBeyondTokens(usage)).toBe(expected);
});

it("an answer that is a refusal has a finish reason and no parts", () => {
  const { headers, body } = readResponse("anthropic/completion-refusal.json");
  const answer = createAnthropicDialect([]).fromResponse(
    {
      status: 200,
      headers,
      body: JSON.stringify(body),
    },
    NOT_RELAYED,
  );
  expect(answer.choices).toEqual([
    {
      index: 0,
      message: { role: "assistant", name: undefined, parts: [] },
      finishReason: "content_filter",
    },
  ]);
});
