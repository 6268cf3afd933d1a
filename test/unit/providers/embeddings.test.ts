import { describe, expect, it, onTestFinished } from "vitest";
import type { EmbeddingInput } from "../../../src/core/embedding.ts";
import { PROVIDER_TYPE_NAMES, type ProviderTypeName } from "../../../src/core/provider-types.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { WIRES } from "../../../src/providers/wires.ts";
import {
  describeEmbeddingProvider,
  type EmbeddingProviderUnderTest,
} from "../../suites/embedding-provider-suite.ts";
import { answersJson, embeddingCallOf, embeddingOf, failureOf } from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

const TEXTS = ["Guten Tag", "你好 👋"];
const OPENAI: Omit<EmbeddingProviderUnderTest, "profile" | "model" | "body" | "responseModel"> = {
  basePath: "/v1",
  path: "/embeddings",
  abilities: { tokens: true, dimensions: true, purpose: false },
  tokensIn: 7,
  requestId: undefined,
  list: "data",
};
const TEXTS_ONLY = { tokens: false, dimensions: true, purpose: false };
const openAiBody = (model: string) => ({
  ...{ model, input: TEXTS, encoding_format: "base64", dimensions: 3, user: "u-1" },
});
const named = (model: string) => ({ model, responseModel: model });

describeEmbeddingProvider({
  ...{ ...OPENAI, ...named("text-embedding-3-small"), profile: "openai", requestId: "req_0e1" },
  body: openAiBody("text-embedding-3-small"),
});
describeEmbeddingProvider({
  ...{ ...OPENAI, ...named("text-embedding-3-small"), profile: "azure-openai", requestId: "a-0e1" },
  body: openAiBody("text-embedding-3-small"),
});
describeEmbeddingProvider({
  ...{ ...OPENAI, ...named("openai/text-embedding-3-small"), profile: "openrouter" },
  ...{ requestId: "gen-emb-0e1", providerCostPicoUsd: 140_000n },
  body: openAiBody("openai/text-embedding-3-small"),
});
describeEmbeddingProvider({
  ...{ ...OPENAI, ...named("intfloat/e5-mistral-7b-instruct"), profile: "vllm" },
  body: openAiBody("intfloat/e5-mistral-7b-instruct"),
});
describeEmbeddingProvider({
  ...{ ...OPENAI, ...named("nomic-embed-text"), profile: "ollama", abilities: TEXTS_ONLY },
  body: { model: "nomic-embed-text", input: TEXTS, encoding_format: "base64", dimensions: 3 },
});
describeEmbeddingProvider({
  ...{ ...OPENAI, ...named("mistral-embed"), profile: "mistral", abilities: TEXTS_ONLY },
  requestId: "019a1b2e",
  body: { model: "mistral-embed", input: TEXTS, encoding_format: "base64", output_dimension: 3 },
});
describeEmbeddingProvider({
  ...{ ...OPENAI, ...named("nomic-ai/nomic-embed-text-v1.5"), profile: "fireworks" },
  ...{ requestId: "f-0e1", abilities: TEXTS_ONLY },
  body: { model: "nomic-ai/nomic-embed-text-v1.5", input: TEXTS, dimensions: 3 },
});
describeEmbeddingProvider({
  ...{ ...OPENAI, ...named("intfloat/multilingual-e5-large-instruct"), profile: "together" },
  ...{ requestId: "t-0e1", abilities: { ...TEXTS_ONLY, dimensions: false }, tokensIn: undefined },
  body: { model: "intfloat/multilingual-e5-large-instruct", input: TEXTS },
});
describeEmbeddingProvider({
  ...{ ...OPENAI, profile: "gemini", model: "gemini-embedding-001", responseModel: undefined },
  ...{ basePath: "/v1beta", path: "/models/gemini-embedding-001:batchEmbedContents", list: "embeddings" },
  abilities: { tokens: false, dimensions: true, purpose: true },
  body: {
    requests: TEXTS.map((text) => ({
      model: "models/gemini-embedding-001",
      content: { parts: [{ text }] },
      outputDimensionality: 3,
    })),
  },
});

const bodyOf = (type: ProviderTypeName, input: EmbeddingInput): unknown =>
  JSON.parse(JSON.stringify(WIRES[type].createEmbeddings?.([])?.toBody({ model: "m", input })));

describe("a request for embeddings", () => {
  it("of token ids sends them as they are", () => {
    const embedded = { kind: "tokens", sequences: [[1, 2], [3]] } as const;
    expect(bodyOf("openai", embeddingOf([], { embedded }))).toMatchObject({ input: [[1, 2], [3]] });
    expect(() => bodyOf("gemini", embeddingOf([], { embedded }))).toThrow("no token ids");
  });

  it("tells Gemini its purpose as a task", () => {
    const tasks = (["query", "document"] as const).map((purpose) => {
      const body = bodyOf("gemini", embeddingOf(["a"], { purpose })) as { requests: { taskType: string }[] };
      return body.requests[0]?.taskType;
    });
    expect(tasks).toEqual(["RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"]);
  });

  it("can be made to these providers, and to no others", () => {
    const able = PROVIDER_TYPE_NAMES.filter((type) => WIRES[type].createEmbeddings?.([]));
    const others = PROVIDER_TYPE_NAMES.filter((type) => !able.includes(type));
    expect(others).toEqual(["deepseek", "huggingface", "anthropic", "bedrock", "groq", "xai"]);
  });
});

describe("a native request for embeddings", () => {
  const text =
    '{"model":"alias","input":["a"],"big":12345678901234567890,"encoding_format":"float","dimensions":3,"user":"u","fallback_models":["x"]}';
  const native = {
    ...({ dialect: "openai-embeddings", text, body: JSON.parse(text) as Record<string, unknown> } as const),
    ...{ gatewayMembers: ["fallback_models"], untranslatable: [] },
  };
  const input = embeddingOf(["a"], { dimensions: 3, endUser: "u" });
  const nativeBody = (type: ProviderTypeName) =>
    WIRES[type].createEmbeddings?.([])?.toBody({ model: "m", input, native });

  it("is sent as it was written, but for the model and our members", () => {
    expect(nativeBody("openai")).toBe(
      '{"model":"m","input":["a"],"big":12345678901234567890,"encoding_format":"float","dimensions":3,"user":"u"}',
    );
  });

  it("is sent without what the provider refuses, and with its name of the dimensions", () => {
    const rest = '"input":["a"],"big":12345678901234567890';
    expect(nativeBody("mistral")).toBe(
      `{"model":"m","output_dimension":3,${rest},"encoding_format":"float"}`,
    );
    expect(nativeBody("fireworks")).toBe(`{"model":"m",${rest},"dimensions":3}`);
  });

  it("gets the provider's own text when it has the encoding that was asked for, and no other", async () => {
    await using standIn = await ScriptedProvider.start();
    const provider = createProvider({
      ...{ name: "openai", profile: "openai", baseUrl: `${standIn.origin}/v1`, apiKey: "sk-1" },
      connectTimeoutMs: 2_000,
    });
    onTestFinished(() => provider.close());
    const call = embeddingCallOf({ model: "m", input: embeddingOf(["a"]), native });
    standIn.does(answersJson({ data: [{ index: 0, embedding: [1, 2.5], extra: "é" }] }));
    const floats = await provider.embedder?.embed(call);
    expect(floats?.native?.text).toBe('{"data":[{"index":0,"embedding":[1,2.5],"extra":"é"}]}');
    standIn.does(answersJson({ data: [{ index: 0, embedding: "AACAPwAAIEA=" }] }));
    const text64 = await provider.embedder?.embed(call);
    expect(text64).toMatchObject({ native: { text: undefined }, vectors: [Float32Array.of(1, 2.5)] });
  });

  it("may have a body that grows with the number of its inputs", async () => {
    await using standIn = await ScriptedProvider.start();
    const provider = createProvider({
      ...{ name: "openai", profile: "openai", baseUrl: `${standIn.origin}/v1`, apiKey: "sk-1" },
      connectTimeoutMs: 2_000,
    });
    onTestFinished(() => provider.close());
    const padding = " ".repeat(17 * 1024 * 1024);
    const data = (count: number) => Array.from({ length: count }, (_, index) => ({ index, embedding: [1] }));
    const answer = (count: number) => `{"data":${JSON.stringify(data(count))}${padding}}`;
    const embed = (count: number) => {
      standIn.does((response) => void response.end(answer(count)));
      const texts = Array.from({ length: count }, () => "a");
      return provider.embedder?.embed(embeddingCallOf({ model: "m", input: embeddingOf(texts) }));
    };
    expect((await embed(300))?.vectors).toHaveLength(300);
    expect((await failureOf(Promise.resolve(embed(1)))).reason).toBe("PROVIDER_BAD_RESPONSE");
  });
});
