import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Provider } from "../../../src/core/provider.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { describeProvider } from "../../suites/provider-suite.ts";
import { answersJson, answersWith, callOf, failureOf } from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

describeProvider({
  profile: "deepseek",
  basePath: "",
  model: "deepseek-flash",
  responseModel: "deepseek-flash",
  headers: {},
  requestId: "trace_9f8e",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 176,
    cacheReadTokensIn: 1_024,
    cacheWriteTokensIn: undefined,
    textTokensOut: 54,
    reasoningTokensOut: 256,
  },
  reasoning: "A greeting.",
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-content-filter": { reason: "CONTENT_FILTERED" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
    "error-server": { reason: "PROVIDER_ERROR" },
  },
});

describe("deepseek in particular", () => {
  let standIn: ScriptedProvider;
  let provider: Provider;
  beforeAll(async () => {
    standIn = await ScriptedProvider.start();
    provider = createProvider({
      name: "deepseek",
      profile: "deepseek",
      baseUrl: standIn.origin,
      apiKey: "sk-test-canary-0123456789",
      connectTimeoutMs: 2_000,
    });
  });
  afterAll(async () => {
    await provider.close();
    await standIn[Symbol.asyncDispose]();
  });

  it("names the output limit max_tokens and the end user user_id, and sends reasoning back", async () => {
    standIn.does(answersWith("deepseek/stream.sse"));
    const reasoned = {
      role: "assistant",
      name: undefined,
      parts: [
        { kind: "reasoning", text: "hm" },
        { kind: "text", text: "a" },
      ],
    } as const;
    const input = { messages: [reasoned], maxOutputTokens: 9, endUser: "u-1" };
    await provider.stream(callOf({ input }), () => undefined);
    expect(JSON.parse(standIn.onlyRequest.body)).toEqual({
      model: "some-model",
      messages: [{ role: "assistant", content: "a", reasoning_content: "hm" }],
      max_tokens: 9,
      user_id: "u-1",
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it.each([
    ["completion-no-resource.json", "complete"],
    ["stream-no-resource.sse", "stream"],
  ] as const)(
    "takes the finish reason insufficient_system_resource for overload, with its usage (%s)",
    async (fixture, kind) => {
      standIn.does(answersWith(`deepseek/${fixture}`));
      const call =
        kind === "complete" ? provider.complete(callOf()) : provider.stream(callOf(), () => undefined);
      expect(await failureOf(call)).toMatchObject({
        reason: "PROVIDER_OVERLOADED",
        billing: "maybe_billed",
        usage: { kind: "reported", usage: { tokensIn: 1_200, tokensOut: 310 } },
      });
    },
  );

  it("flags hits and misses that exceed the input", async () => {
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 1,
      prompt_cache_hit_tokens: 6,
      prompt_cache_miss_tokens: 5,
    };
    standIn.does(answersJson({ choices: [{ message: { content: "x" }, finish_reason: "stop" }], usage }));
    expect((await provider.complete(callOf())).usage).toEqual({
      kind: "invalid",
      anomaly: "CACHE_EXCEEDS_INPUT",
    });
  });
});
