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

/** The same for the Responses API, where the model's input has another name. */
export const RESPONSES_API: CompatibleApi = {
  ...OPENAI_API,
  toError: (thrown) => toOpenAiError(thrown, "input"),
};
