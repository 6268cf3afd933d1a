import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * Mistral's chat completions, `https://api.mistral.ai/v1`, as documented in November 2026. It states the usage in the
 * last chunk without being asked, and refuses members that it does not know (422), such as `stream_options` and `user`.
 */
export const mistralProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // docs.mistral.ai/studio/conversations/responses: public preview, stateless.
  hasResponsesApi: true,
  endUserField: undefined,
  seedField: "random_seed",
  asksForUsage: false,
  finishReasons: { model_length: "length", error: { failure: "PROVIDER_ERROR" } },
  errorCodes: {
    invalid_model: "PROVIDER_MODEL_NOT_FOUND",
    rate_limited: "PROVIDER_RATE_LIMITED",
    service_tier_capacity_exceeded: "PROVIDER_OVERLOADED",
  },
  requestIdHeaders: ["mistral-correlation-id", "x-kong-request-id"],
  contextTooLongPattern: /maximum context length/i,
  embeddings: {
    takesEncodingFormat: true,
    dimensionsField: "output_dimension",
    takesTokens: false,
    takesEndUser: false,
  },
};
