import { describe, expect, it } from "vitest";
import type { CompletionInput } from "../../../src/core/completion.ts";
import { PROVIDER_TYPE_NAMES, type ProviderTypeName } from "../../../src/core/provider-types.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { mapUsage } from "../../../src/providers/openai-chat/map-usage.ts";
import { xaiProfile } from "../../../src/providers/profiles/xai.ts";
import { WIRES } from "../../../src/providers/wires.ts";
import { answersWith, callOf, inputOf, userMessage } from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

function bodyOf(type: ProviderTypeName, overrides: Partial<CompletionInput>): unknown {
  const input = { ...inputOf([userMessage("Hello")]), ...overrides };
  return JSON.parse(
    JSON.stringify(WIRES[type].createDialects([])[0].toBody({ model: "m", input, stream: true })),
  );
}

const HELLO = { model: "m", messages: [{ role: "user", content: "Hello" }], stream: true };
const ASKS = { stream_options: { include_usage: true } };
const LIMITS: Partial<CompletionInput> = { maxOutputTokens: 9, seed: 3n, endUser: "u-1" };

describe("a request by profile", () => {
  it.each<[ProviderTypeName, object]>([
    ["mistral", { max_tokens: 9, random_seed: 3 }],
    ["groq", { max_completion_tokens: 9, seed: 3, user: "u-1", ...ASKS }],
    ["together", { max_tokens: 9, seed: 3, user: "u-1", ...ASKS }],
    ["openrouter", { max_tokens: 9, seed: 3, user: "u-1", ...ASKS }],
    ["azure-openai", { max_completion_tokens: 9, seed: 3, user: "u-1", ...ASKS }],
    ["xai", { max_completion_tokens: 9, seed: 3, user: "u-1", ...ASKS }],
    ["fireworks", { max_tokens: 9, seed: 3, user: "u-1", ...ASKS }],
    ["ollama", { max_tokens: 9, seed: 3, user: "u-1", ...ASKS }],
    ["vllm", { max_tokens: 9, seed: 3, user: "u-1", ...ASKS }],
  ])("of %s names limits, seed and end user as the provider does", (type, expected) => {
    expect(bodyOf(type, LIMITS)).toEqual({ ...HELLO, ...expected });
  });
});

describe("xAI's reasoning tokens", () => {
  const usageOf = (totalTokens: number) => ({
    prompt_tokens: 32,
    completion_tokens: 90,
    total_tokens: totalTokens,
    completion_tokens_details: { reasoning_tokens: 80 },
  });

  it.each([
    ["come on top when the total says so", 202, 170, 90],
    ["are a part when the total says so", 122, 90, 10],
  ])("%s", (_name, totalTokens, tokensOut, textTokensOut) => {
    expect(mapUsage(usageOf(totalTokens), xaiProfile)).toMatchObject({
      kind: "reported",
      usage: { tokensOut, textTokensOut, reasoningTokensOut: 80 },
    });
  });
});

describe("a server of one's own", () => {
  it.each(["ollama", "vllm"] as const)("%s is asked without a key when it has none", async (profile) => {
    await using standIn = await ScriptedProvider.start();
    standIn.does(answersWith(`${profile}/completion.json`));
    const baseUrl = standIn.origin;
    const provider = createProvider({
      name: "mine",
      profile,
      baseUrl,
      apiKey: undefined,
      connectTimeoutMs: 500,
    });
    await provider.complete(callOf());
    expect(standIn.onlyRequest.headers).not.toHaveProperty("authorization");
    await provider.close();
  });

  it("is the only kind of provider that needs no key", () => {
    const options = { name: "mine", baseUrl: "http://127.0.0.1:1", apiKey: undefined, connectTimeoutMs: 500 };
    const keyless = PROVIDER_TYPE_NAMES.filter((profile) => {
      try {
        void createProvider({ ...options, profile }).close();
        return true;
      } catch {
        return false;
      }
    });
    expect(keyless).toEqual(["ollama", "vllm"]);
  });
});
