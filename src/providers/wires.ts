import type { ProviderTypeName } from "../core/provider-types.ts";
import { createAnthropicDialect } from "./anthropic/dialect.ts";
import { createBedrockDialect } from "./bedrock/dialect.ts";
import type { Dialect } from "./dialect.ts";
import type { EmbeddingDialect } from "./embedding-dialect.ts";
import { createGeminiDialect } from "./gemini/dialect.ts";
import { createGeminiEmbeddings } from "./gemini/embeddings.ts";
import { createOpenAiChatDialect } from "./openai-chat/dialect.ts";
import type { OpenAiChatProfile } from "./openai-chat/profile.ts";
import { createOpenAiEmbeddings } from "./openai-embeddings/dialect.ts";
import { createOpenAiResponsesDialect } from "./openai-responses/dialect.ts";
import { azureOpenaiProfile } from "./profiles/azure-openai.ts";
import { deepseekProfile } from "./profiles/deepseek.ts";
import { fireworksProfile } from "./profiles/fireworks.ts";
import { groqProfile } from "./profiles/groq.ts";
import { huggingfaceProfile } from "./profiles/huggingface.ts";
import { mistralProfile } from "./profiles/mistral.ts";
import { ollamaProfile } from "./profiles/ollama.ts";
import { openaiProfile } from "./profiles/openai.ts";
import { openrouterProfile } from "./profiles/openrouter.ts";
import { togetherProfile } from "./profiles/together.ts";
import { vllmProfile } from "./profiles/vllm.ts";
import { xaiProfile } from "./profiles/xai.ts";

/** How a kind of provider is spoken to. */
export interface Wire {
  /** The one that is used, and those in which native requests can be sent, too. `secrets` never appear in an error. */
  createDialects(secrets: readonly string[]): readonly [Dialect, ...Dialect[]];
  /** How it makes embeddings; undefined when it makes none. */
  createEmbeddings?(secrets: readonly string[]): EmbeddingDialect | undefined;
  /** Headers that carry the key, names and values alternating. */
  keyHeaders(apiKey: string): readonly string[];
}

/** The wire of every kind of provider. */
export const WIRES: Readonly<Record<ProviderTypeName, Wire>> = {
  openai: openAiChat(openaiProfile),
  deepseek: openAiChat(deepseekProfile),
  huggingface: openAiChat(huggingfaceProfile),
  anthropic: {
    createDialects: (secrets) => [createAnthropicDialect(secrets)],
    keyHeaders: (apiKey) => ["x-api-key", apiKey, "anthropic-version", "2023-06-01"],
  },
  gemini: {
    createDialects: (secrets) => [createGeminiDialect(secrets)],
    createEmbeddings: createGeminiEmbeddings,
    keyHeaders: (apiKey) => ["x-goog-api-key", apiKey],
  },
  bedrock: { createDialects: (secrets) => [createBedrockDialect(secrets)], keyHeaders: bearer },
  mistral: openAiChat(mistralProfile),
  groq: openAiChat(groqProfile),
  together: openAiChat(togetherProfile),
  openrouter: openAiChat(openrouterProfile),
  "azure-openai": openAiChat(azureOpenaiProfile),
  xai: openAiChat(xaiProfile),
  fireworks: openAiChat(fireworksProfile),
  ollama: openAiChat(ollamaProfile),
  vllm: openAiChat(vllmProfile),
};

function openAiChat(profile: OpenAiChatProfile): Wire {
  return {
    createDialects: (secrets) => [
      createOpenAiChatDialect(profile, secrets),
      ...(profile.hasResponsesApi ? [createOpenAiResponsesDialect(profile, secrets)] : []),
    ],
    createEmbeddings: (secrets) => createOpenAiEmbeddings(profile, secrets),
    keyHeaders: (apiKey) => (profile.keyHeader === "api-key" ? ["api-key", apiKey] : bearer(apiKey)),
  };
}

function bearer(apiKey: string): readonly string[] {
  return ["authorization", `Bearer ${apiKey}`];
}
