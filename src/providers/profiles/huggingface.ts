import type { OpenAiChatProfile } from "../openai-chat/profile.ts";

/**
 * HuggingFace Inference Providers, `https://router.huggingface.co/v1`. The router passes the partner's answer on, so
 * finish reasons, error bodies and the end of a stream vary with the partner. A model `org/name:partner` pins one,
 * without which the call cannot be priced; it is sent as it is.
 */
export const huggingfaceProfile: OpenAiChatProfile = {
  maxTokensField: "max_tokens",
  endUserField: "user",
  takesObfuscationOption: false,
  takesDeveloperRole: false,
  takesReasoning: false,
  cacheUsage: "prompt_tokens_details",
  finishReasons: {
    eos: "stop",
    eos_token: "stop",
    stop_sequence: "stop",
    max_tokens: "length",
    model_length: "length",
    error: { failure: "PROVIDER_ERROR" },
  },
  endWithoutDone: "needs_finish_reason_only",
  requestIdHeaders: ["inference-id", "x-request-id"],
  overloadedStatuses: [],
  contextTooLongPattern: /maximum context length|context window|inputs? tokens? .*must be <=/i,
  contentFilteredPattern: undefined,
};
