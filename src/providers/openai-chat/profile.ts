import type { FinishReason } from "../../core/completion.ts";
import type { ProviderErrorReason } from "../../core/provider-error.ts";

/** How a finish reason reads that means a failure and no answer. */
export interface FinishFailure {
  readonly failure: Extract<ProviderErrorReason, "PROVIDER_OVERLOADED" | "PROVIDER_ERROR">;
}

/** Everything in which one provider of the OpenAI-chat dialect differs from another. */
export interface OpenAiChatProfile {
  readonly maxTokensField: "max_completion_tokens" | "max_tokens";
  readonly endUserField: "user" | "user_id";
  /** Whether `stream_options.include_obfuscation` is known to the provider. */
  readonly takesObfuscationOption: boolean;
  /** False: `developer` messages of native requests become `system` messages. */
  readonly takesDeveloperRole?: false | undefined;
  /** Whether reasoning of earlier turns is sent back, as `reasoning_content`. If not, it is left out. */
  readonly takesReasoning: boolean;
  /** Where tokens read from the cache are stated: `prompt_tokens_details`, or DeepSeek's hit and miss counts. */
  readonly cacheUsage: "prompt_tokens_details" | "prompt_cache_hit_tokens";
  /** Finish reasons beyond `stop`, `length`, `tool_calls`, `function_call` and `content_filter`. */
  readonly finishReasons: Readonly<Record<string, FinishReason | FinishFailure>>;
  /**
   * What makes a stream complete that ends without `[DONE]`, besides a finish reason for every choice: the usage
   * (the provider always sends it, after the finish reason, so that without it the stream was cut) or nothing
   * (usage is then absent, and estimated by the caller).
   */
  readonly endWithoutDone: "needs_usage" | "needs_finish_reason_only";
  /** Response headers that carry the provider's request id; the first that is there counts. */
  readonly requestIdHeaders: readonly string[];
  /** Statuses that mean overload by themselves, whatever the body says. */
  readonly overloadedStatuses: readonly number[];
  /** For providers that have no error code for it: the message of a 4xx that says the input is too long. */
  readonly contextTooLongPattern: RegExp | undefined;
  /** Likewise for a content filter. */
  readonly contentFilteredPattern: RegExp | undefined;
}
