import type { OpenAiChatProfile } from "../openai-chat/profile.ts";

/** OpenAI's chat completions, `https://api.openai.com/v1`, as documented in November 2026. */
export const openaiProfile: OpenAiChatProfile = {
  maxTokensField: "max_completion_tokens",
  endUserField: "user",
  takesObfuscationOption: true,
  takesReasoning: false,
  cacheUsage: "prompt_tokens_details",
  finishReasons: {},
  endWithoutDone: "needs_usage",
  // Cancelling stops generation and billing (openrouter.ai/docs/api-reference/streaming, November 2026).
  cancelledStreams: "estimate",
  requestIdHeaders: ["x-request-id"],
  overloadedStatuses: [],
  contextTooLongPattern: undefined,
  contentFilteredPattern: undefined,
};
