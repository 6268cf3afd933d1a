import type { EmbeddingDialect } from "../embedding-dialect.ts";
import { createErrorRules } from "../openai-chat/map-error.ts";
import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { fromEmbeddingsResponse } from "./from-response.ts";
import { toEmbeddingsRequest, toNativeEmbeddings } from "./to-request.ts";

/** OpenAI's embeddings, as the profile's provider speaks them; undefined for one that has none. */
export function createOpenAiEmbeddings(
  profile: OpenAiChatProfile,
  secrets: readonly string[],
): EmbeddingDialect | undefined {
  const { embeddings } = profile;
  if (!embeddings) return undefined;
  const errors = createErrorRules(profile, secrets);
  return {
    nativeDialect: "openai-embeddings",
    abilities: {
      tokens: embeddings.takesTokens,
      dimensions: embeddings.dimensionsField !== undefined,
      purpose: false,
    },
    toPath: () => "/embeddings",
    toBody: (call) =>
      call.native ? toNativeEmbeddings(call.native, call, embeddings) : toEmbeddingsRequest(call, embeddings),
    fromResponse: (response, call) => fromEmbeddingsResponse(response, call, { profile, errors }),
    errors,
  };
}
