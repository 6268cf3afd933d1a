import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * Together's chat completions, `https://api.together.ai/v1`, as documented in November 2026. An input that is too long
 * is status 403; 402 is a spending limit.
 */
export const togetherProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // docs.together.ai/docs/inference/responses-api: beta, stateless, not with all models.
  hasResponsesApi: true,
  finishReasons: { eos: "stop" },
  errorCodes: { model_not_available: "PROVIDER_MODEL_NOT_FOUND" },
  overloadedStatuses: [503],
  contextTooLongPattern: /tokens? .*must be <=|maximum context length/i,
  // Model and input are all that is documented.
  embeddings: {
    takesEncodingFormat: false,
    dimensionsField: undefined,
    takesTokens: false,
    takesEndUser: false,
  },
};
