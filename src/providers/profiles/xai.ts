import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * xAI's chat completions, `https://api.x.ai/v1`, as documented in November 2026. Reasoning tokens come on top of the
 * completion tokens: the total is the sum of all three.
 */
export const xaiProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // docs.x.ai/developers/model-capabilities/text/comparison; keeps responses for 30 days.
  hasResponsesApi: true,
  maxTokensField: "max_completion_tokens",
  reasoningMayBeExtra: true,
  contextTooLongPattern: /maximum (prompt|context) length/i,
};
