import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/** Fireworks' chat completions, `https://api.fireworks.ai/inference/v1`, as documented in November 2026. */
export const fireworksProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // docs.fireworks.ai/guides/response-api: keeps responses, runs MCP tools.
  hasResponsesApi: true,
  errorCodes: { NOT_FOUND: "PROVIDER_MODEL_NOT_FOUND" },
  overloadedStatuses: [503],
  contextTooLongPattern: /prompt is too long|maximum context length/i,
  // Members that it does not know are refused.
  embeddings: {
    takesEncodingFormat: false,
    dimensionsField: "dimensions",
    takesTokens: false,
    takesEndUser: false,
  },
};
