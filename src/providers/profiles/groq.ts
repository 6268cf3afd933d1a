import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * Groq's chat completions, `https://api.groq.com/openai/v1`, as documented in November 2026. A stream also states the
 * usage, and an early stop, in `x_groq`. Status 498 is a lack of capacity for flex requests.
 */
export const groqProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // console.groq.com/docs/openai, "Responses API": beta, stateless.
  hasResponsesApi: true,
  maxTokensField: "max_completion_tokens",
  chunkExtension: "x_groq",
  errorCodes: { capacity_exceeded: "PROVIDER_OVERLOADED" },
  overloadedStatuses: [498, 503],
  contextTooLongPattern: /reduce the length of the messages/i,
};
