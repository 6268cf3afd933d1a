import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * HuggingFace Inference Providers, `https://router.huggingface.co/v1`. The router passes the partner's answer on, so
 * finish reasons, error bodies and the end of a stream vary with the partner. A model `org/name:partner` pins one,
 * without which the call cannot be priced; it is sent as it is.
 */
export const huggingfaceProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // huggingface.co/docs/inference-providers/guides/responses-api: beta.
  hasResponsesApi: true,
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
  contextTooLongPattern: /maximum context length|context window|inputs? tokens? .*must be <=/i,
};
