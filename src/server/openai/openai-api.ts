import type { CompatibleApi } from "../compatible/compatible-call.ts";
import { toOpenAiError } from "./openai-error.ts";
import { rateLimitHeaders, refusedLimitHeaders } from "./rate-limit-headers.ts";

/** What the answers of OpenAI's API have in common. */
export const OPENAI_API: CompatibleApi = {
  protocol: "openai",
  rateLimitHeaders,
  refusedLimitHeaders,
  toError: toOpenAiError,
};
