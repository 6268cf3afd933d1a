import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { OPENAI_EMBEDDINGS } from "../openai-embeddings/profile.ts";

/** OpenAI's chat completions, `https://api.openai.com/v1`, as documented in November 2026. */
export const openaiProfile: OpenAiChatProfile = {
  maxTokensField: "max_completion_tokens",
  endUserField: "user",
  seedField: "seed",
  hasResponsesApi: true,
  keyHeader: "authorization",
  takesObfuscationOption: true,
  asksForUsage: true,
  takesDeveloperRole: true,
  takesReasoning: false,
  cacheUsage: "prompt_tokens_details",
  chunkExtension: undefined,
  reasoningMayBeExtra: false,
  statesCost: false,
  finishReasons: {},
  endWithoutDone: "needs_usage",
  errorCodes: {},
  requestIdHeaders: ["x-request-id"],
  overloadedStatuses: [],
  embeddings: OPENAI_EMBEDDINGS,
  contextTooLongPattern: undefined,
  contentFilteredPattern: undefined,
};
