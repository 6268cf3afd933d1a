import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * DeepSeek's chat completions, `https://api.deepseek.com` (no `/v1`), as documented in November 2026. Under load it
 * sends empty lines before a unary answer and `: keep-alive` comments in a stream; neither counts as progress.
 */
export const deepseekProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // api-docs.deepseek.com/guides/responses_api: stateless.
  hasResponsesApi: true,
  endUserField: "user_id",
  takesReasoning: true,
  cacheUsage: "prompt_cache_hit_tokens",
  finishReasons: { insufficient_system_resource: { failure: "PROVIDER_OVERLOADED" } },
  requestIdHeaders: ["x-ds-trace-id", "x-request-id"],
  // Documented as "server overloaded".
  overloadedStatuses: [503],
  contextTooLongPattern: /maximum context length/i,
  contentFilteredPattern: /content exists risk/i,
};
