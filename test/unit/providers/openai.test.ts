import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Provider } from "../../../src/core/provider.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { describeProvider } from "../../suites/provider-suite.ts";
import { answersWith, callOf, chunk, failureOf, streams } from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

describeProvider({
  profile: "openai",
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
  reasoning: undefined,
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

describe("openai in particular", () => {
  let standIn: ScriptedProvider;
  let provider: Provider;
  beforeAll(async () => {
    standIn = await ScriptedProvider.start();
    provider = createProvider({
      name: "openai",
      profile: "openai",
      baseUrl: standIn.origin,
      apiKey: "sk-test-canary-0123456789",
      connectTimeoutMs: 2_000,
    });
  });
  afterAll(async () => {
    await provider.close();
    await standIn[Symbol.asyncDispose]();
  });

  it("names the output limit max_completion_tokens and the end user user, and declines padding of deltas", async () => {
    standIn.does(answersWith("openai/stream.sse"));
    await provider.stream(callOf({ input: { maxOutputTokens: 9, endUser: "u-1" } }), () => undefined);
    expect(JSON.parse(standIn.onlyRequest.body)).toEqual({
      model: "some-model",
      messages: [{ role: "user", content: "Hello" }],
      max_completion_tokens: 9,
      user: "u-1",
      stream: true,
      stream_options: { include_usage: true, include_obfuscation: false },
    });
  });

  it("reads a refusal as a part of its own", async () => {
    standIn.does(answersWith("openai/completion-refusal.json"));
    const answer = await provider.complete(callOf());
    expect(answer.choices[0]?.message.parts).toEqual([{ kind: "refusal", text: "I cannot help with that." }]);
  });

  it("takes a stream without [DONE] and usage for cut, since usage always comes", async () => {
    standIn.does(streams([chunk({ content: "x" }, "stop")]));
    const error = await failureOf(provider.stream(callOf(), () => undefined));
    expect(error).toMatchObject({ reason: "PROVIDER_STREAM_CUT", received: { deltas: 1 } });
  });

  it.each([
    "organization_spend_limit_exceeded",
    "credit_balance_exhausted",
    "organization_usage_limit_exceeded",
  ])("does not take 429 %s for a rate limit", async (code) => {
    const body = JSON.stringify({ error: { message: "m", type: "rate_limit_error", code } });
    standIn.does((response) => void response.writeHead(429).end(body));
    expect((await failureOf(provider.complete(callOf()))).reason).toBe("PROVIDER_QUOTA_EXHAUSTED");
  });

  it("obeys x-should-retry", async () => {
    standIn.does((response) => void response.writeHead(400, { "x-should-retry": "true" }).end());
    expect((await failureOf(provider.complete(callOf()))).reason).toBe("PROVIDER_ERROR");
    standIn.does((response) => void response.writeHead(500, { "x-should-retry": "false" }).end());
    expect((await failureOf(provider.complete(callOf()))).metadata).toEqual({ should_retry: "false" });
  });
});
