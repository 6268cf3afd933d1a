import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Provider } from "../../../src/core/provider.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { describeProvider } from "../../suites/provider-suite.ts";
import { answersWith, callOf, chunk, DONE, event, failureOf, streams } from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

describeProvider({
  profile: "huggingface",
  basePath: "/v1",
  model: "deepseek-ai/DeepSeek-V4-Pro:novita",
  responseModel: "deepseek-ai/DeepSeek-V4-Pro",
  headers: { "X-HF-Bill-To": "my-org" },
  requestId: "inf-77aa",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 1_200,
    cacheReadTokensIn: undefined,
    cacheWriteTokensIn: undefined,
    textTokensOut: 310,
    reasoningTokensOut: undefined,
  },
  reasoning: undefined,
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
    "error-server": { reason: "PROVIDER_ERROR" },
  },
});

describe("huggingface in particular", () => {
  let standIn: ScriptedProvider;
  let provider: Provider;
  beforeAll(async () => {
    standIn = await ScriptedProvider.start();
    provider = createProvider({
      name: "huggingface",
      profile: "huggingface",
      baseUrl: standIn.origin,
      apiKey: "sk-test-canary-0123456789",
      connectTimeoutMs: 2_000,
    });
  });
  afterAll(async () => {
    await provider.close();
    await standIn[Symbol.asyncDispose]();
  });

  it("sends the model with its pinned partner as it is, and max_tokens", async () => {
    standIn.does(answersWith("huggingface/completion.json"));
    await provider.complete(callOf({ model: "org/name:novita", input: { maxOutputTokens: 9 } }));
    expect(JSON.parse(standIn.onlyRequest.body)).toMatchObject({ model: "org/name:novita", max_tokens: 9 });
  });

  it("accepts a clean end with a finish reason only, since partners differ, and says that usage is absent", async () => {
    standIn.does(streams([chunk({ content: "x" }, "eos_token")]));
    const end = await provider.stream(callOf(), () => undefined);
    expect(end).toMatchObject({ finishReasons: [{ finishReason: "stop" }], usage: { kind: "absent" } });
  });

  it("takes the usage that a partner states on every chunk once, at its last value", async () => {
    const counted = (n: number) =>
      event({
        choices: [{ index: 0, delta: { content: "x" }, finish_reason: n === 3 ? "length" : null }],
        usage: { prompt_tokens: 5, completion_tokens: n },
      });
    standIn.does(streams([counted(1), counted(2), counted(3), DONE]));
    const end = await provider.stream(callOf(), () => undefined);
    expect(end.usage).toMatchObject({ kind: "reported", usage: { tokensIn: 5, tokensOut: 3 } });
  });

  it("takes the finish reason error of a partner for a failure", async () => {
    standIn.does(streams([chunk({ content: "x" }, "error"), DONE]));
    const error = await failureOf(provider.stream(callOf(), () => undefined));
    expect(error).toMatchObject({ reason: "PROVIDER_ERROR", billing: "maybe_billed" });
  });

  it("reads a number as error code as the status it is", async () => {
    standIn.does(streams([event({ error: { message: "later", code: 429 } })]));
    expect((await failureOf(provider.stream(callOf(), () => undefined))).reason).toBe(
      "PROVIDER_RATE_LIMITED",
    );
  });
});
