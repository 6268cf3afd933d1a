import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { OPENAI_EMBEDDINGS } from "../openai-embeddings/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * vLLM's OpenAI-compatible server, `http://<host>:8000/v1`, as documented in November 2026. It needs no key unless it
 * was started with one, and states cached tokens only with `--enable-prompt-tokens-details`. A type of an error is the
 * name of a Python class.
 */
export const vllmProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // docs.vllm.ai, vllm.entrypoints.openai.responses; it keeps responses only when started so.
  hasResponsesApi: true,
  finishReasons: { abort: { failure: "PROVIDER_ERROR" }, error: { failure: "PROVIDER_ERROR" } },
  errorCodes: {
    NotFoundError: "PROVIDER_MODEL_NOT_FOUND",
    BadRequestError: "PROVIDER_INVALID_REQUEST",
  },
  contextTooLongPattern: /maximum context length|max_model_len/i,
  embeddings: OPENAI_EMBEDDINGS,
};
