import { anthropicWire } from "./anthropic-wire.ts";
import { geminiEmbeddings, openAiEmbeddings } from "./embeddings.ts";
import { geminiWire } from "./gemini-wire.ts";
import { huggingfaceWire, openaiWire } from "./openai-wire.ts";
import { LIST_PRICES } from "./prices.ts";
import { responsesWire } from "./responses-wire.ts";
import type { Wire } from "./wire.ts";

export type PersonalityName = "openai" | "deepseek" | "huggingface" | "anthropic" | "gemini";

/** The counts that `usage` is made of; inclusive totals with their parts. */
export interface UsageCounts {
  readonly tokensIn: number;
  readonly cachedTokensIn: number;
  readonly cacheWriteTokensIn: number;
  readonly tokensOut: number;
  readonly reasoningTokens: number;
}

/** What makes one provider differ from another. */
export interface Personality {
  readonly name: PersonalityName;
  readonly wire: Wire;
  /** Path below a base path that asks for a completion, or for embeddings. */
  readonly completionPath: RegExp;
  /** Where the provider's base URL points, as a path of the simulator. */
  readonly basePath: string;
  /** All base paths that it answers on. */
  readonly basePaths: readonly string[];
  readonly reportsCachedTokens: boolean;
  readonly reportsCacheWrites: boolean;
  readonly reportsReasoning: boolean;
  /** Reasoning is sent, before the content; otherwise it is only counted. */
  readonly showsReasoning: boolean;
  /** The `usage` object as JSON text. */
  readonly usageJson: (counts: UsageCounts) => string;
  /** A second dialect, on a path of its own. */
  readonly alsoSpeaks?: Pick<Personality, "wire" | "completionPath" | "usageJson"> | undefined;
  /** `GET …/models`. */
  readonly models: () => unknown;
}

function totals({ tokensIn, tokensOut }: UsageCounts): string {
  return `"prompt_tokens":${tokensIn},"completion_tokens":${tokensOut},"total_tokens":${tokensIn + tokensOut}`;
}

function listModels(personality: PersonalityName): readonly string[] {
  return LIST_PRICES.filter((price) => price.personality === personality).map((price) => price.model);
}

function plainModels(personality: PersonalityName): () => unknown {
  return () => ({
    object: "list",
    data: listModels(personality).map((id) => ({
      id,
      object: "model",
      created: 1_700_000_000,
      owned_by: personality,
    })),
  });
}

/** HuggingFace lists models without their partner and the partners under each, with prices as JSON numbers. */
function huggingfaceModels(): unknown {
  const prices = LIST_PRICES.filter((price) => price.personality === "huggingface");
  const data = prices.map((price) => {
    const [id = "", provider = ""] = price.model.split(":");
    const pricing = { input: Number(price.inputUsdPerMillion), output: Number(price.outputUsdPerMillion) };
    const partner = { provider, status: "live", context_length: 131_072, pricing, supports_tools: true };
    return { id, object: "model", created: 1_700_000_000, owned_by: id.split("/")[0], providers: [partner] };
  });
  return { object: "list", data };
}

const RESPONSES_API: Personality["alsoSpeaks"] = {
  wire: responsesWire,
  completionPath: /^\/responses$/,
  usageJson: (counts) =>
    `{"input_tokens":${counts.tokensIn},"input_tokens_details":{"cached_tokens":${counts.cachedTokensIn},` +
    `"cache_write_tokens":${counts.cacheWriteTokensIn}},"output_tokens":${counts.tokensOut},` +
    `"output_tokens_details":{"reasoning_tokens":${counts.reasoningTokens}},` +
    `"total_tokens":${counts.tokensIn + counts.tokensOut}}`,
};

const CHAT_COMPLETIONS = /^\/chat\/completions$/;

const COMPLETING: readonly Personality[] = [
  {
    name: "openai",
    wire: openaiWire,
    completionPath: CHAT_COMPLETIONS,
    basePath: "/openai/v1",
    basePaths: ["/openai/v1"],
    reportsCachedTokens: true,
    reportsCacheWrites: true,
    reportsReasoning: true,
    showsReasoning: false,
    usageJson: (counts) =>
      `{${totals(counts)},"prompt_tokens_details":{"cached_tokens":${counts.cachedTokensIn},` +
      `"cache_write_tokens":${counts.cacheWriteTokensIn},"audio_tokens":0},` +
      `"completion_tokens_details":{"reasoning_tokens":${counts.reasoningTokens},"audio_tokens":0,` +
      `"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`,
    alsoSpeaks: RESPONSES_API,
    models: plainModels("openai"),
  },
  {
    name: "deepseek",
    wire: openaiWire,
    completionPath: CHAT_COMPLETIONS,
    basePath: "/deepseek",
    basePaths: ["/deepseek", "/deepseek/v1"],
    reportsCachedTokens: true,
    reportsCacheWrites: false,
    reportsReasoning: true,
    showsReasoning: true,
    usageJson: (counts) =>
      `{${totals(counts)},"prompt_cache_hit_tokens":${counts.cachedTokensIn},` +
      `"prompt_cache_miss_tokens":${counts.tokensIn - counts.cachedTokensIn},` +
      `"completion_tokens_details":{"reasoning_tokens":${counts.reasoningTokens}}}`,
    alsoSpeaks: RESPONSES_API,
    models: plainModels("deepseek"),
  },
  {
    name: "huggingface",
    wire: huggingfaceWire,
    completionPath: CHAT_COMPLETIONS,
    basePath: "/huggingface/v1",
    basePaths: ["/huggingface/v1"],
    reportsCachedTokens: false,
    reportsCacheWrites: false,
    reportsReasoning: false,
    showsReasoning: false,
    usageJson: (counts) => `{${totals(counts)}}`,
    alsoSpeaks: RESPONSES_API,
    models: huggingfaceModels,
  },
  {
    name: "anthropic",
    wire: anthropicWire,
    completionPath: /^\/messages$/,
    basePath: "/anthropic/v1",
    basePaths: ["/anthropic/v1"],
    reportsCachedTokens: true,
    reportsCacheWrites: true,
    reportsReasoning: true,
    showsReasoning: true,
    // The input is stated without what was read from the cache or written to it.
    usageJson: (counts) =>
      `{"input_tokens":${counts.tokensIn - counts.cachedTokensIn - counts.cacheWriteTokensIn},` +
      `"cache_read_input_tokens":${counts.cachedTokensIn},` +
      `"cache_creation_input_tokens":${counts.cacheWriteTokensIn},"output_tokens":${counts.tokensOut},` +
      `"output_tokens_details":{"thinking_tokens":${counts.reasoningTokens}},"service_tier":"standard"}`,
    models: () => ({
      data: listModels("anthropic").map((id) => ({ type: "model", id, display_name: id })),
      has_more: false,
    }),
  },
  {
    name: "gemini",
    wire: geminiWire,
    completionPath: /^\/models\/[^/:]+:(?:stream)?[gG]enerateContent$/,
    basePath: "/gemini/v1beta",
    basePaths: ["/gemini/v1beta"],
    reportsCachedTokens: true,
    reportsCacheWrites: false,
    reportsReasoning: true,
    showsReasoning: true,
    // Counts of zero are left out, as proto3 JSON does; candidates do not include thoughts.
    usageJson: (counts) => {
      const stated = {
        promptTokenCount: counts.tokensIn,
        cachedContentTokenCount: counts.cachedTokensIn,
        candidatesTokenCount: counts.tokensOut - counts.reasoningTokens,
        thoughtsTokenCount: counts.reasoningTokens,
        totalTokenCount: counts.tokensIn + counts.tokensOut,
      };
      return JSON.stringify(Object.fromEntries(Object.entries(stated).filter(([, count]) => count > 0)));
    },
    models: () => ({ models: listModels("gemini").map((id) => ({ name: `models/${id}` })) }),
  },
];

/** The same providers at the paths where they make embeddings. There is nothing to cache or to reason about. */
const EMBEDDING: readonly Personality[] = COMPLETING.flatMap((personality) => {
  const plain = { ...personality, reportsCachedTokens: false, reportsCacheWrites: false };
  if (personality.name === "openai") {
    return {
      ...plain,
      wire: openAiEmbeddings(openaiWire),
      completionPath: /^\/embeddings$/,
      usageJson: ({ tokensIn }: UsageCounts) => `{"prompt_tokens":${tokensIn},"total_tokens":${tokensIn}}`,
    };
  }
  if (personality.name === "gemini") {
    return {
      ...plain,
      wire: geminiEmbeddings(geminiWire),
      completionPath: /^\/models\/[^/:]+:batchEmbedContents$/,
      usageJson: ({ tokensIn }: UsageCounts) => `{"promptTokenCount":${tokensIn}}`,
    };
  }
  return [];
});

/** One for each way in which a provider is asked; several may be the same provider. */
export const PERSONALITIES: readonly Personality[] = [...COMPLETING, ...EMBEDDING];
