import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { OPENAI_EMBEDDINGS } from "../openai-embeddings/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * OpenRouter's chat completions, `https://openrouter.ai/api/v1`, as documented in November 2026. It states in
 * `usage.cost` what it charges. Error codes are HTTP statuses, and 403 is its moderation.
 */
export const openrouterProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // openrouter.ai/docs/api-reference/responses: beta, stateless; states `usage.cost` as in chat.
  hasResponsesApi: true,
  statesCost: true,
  finishReasons: { error: { failure: "PROVIDER_ERROR" } },
  requestIdHeaders: ["x-generation-id", "x-request-id"],
  contextTooLongPattern: /maximum context length/i,
  contentFilteredPattern: /flagged|moderation/i,
  embeddings: OPENAI_EMBEDDINGS,
};
