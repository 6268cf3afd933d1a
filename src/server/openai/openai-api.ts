import type { CompatibleApi } from "../compatible/compatible-call.ts";
import { toOpenAiError } from "./openai-error.ts";
import { rateLimitHeaders, refusedLimitHeaders } from "./rate-limit-headers.ts";

/** What the answers of OpenAI's API have in common. */
export const OPENAI_API: CompatibleApi = {
  protocol: "openai",
  rateLimitHeaders,
  refusedLimitHeaders,
  toError: (thrown) => toOpenAiError(thrown),
};

/** The same for responses and embeddings, where what the model reads has another name. */
export const INPUT_API: CompatibleApi = {
  ...OPENAI_API,
  toError: (thrown) => toOpenAiError(thrown, "input"),
};
