import type { FinishReason } from "../../core/completion.ts";
import type { ProviderErrorReason } from "../../core/provider-error.ts";
import type { FinishFailure } from "../finish-failure.ts";
import type { EmbeddingProfile } from "../openai-embeddings/profile.ts";

/** Everything in which one provider of OpenAI's dialects differs from another. */
export interface OpenAiChatProfile {
  readonly maxTokensField: "max_completion_tokens" | "max_tokens";
  /** Undefined where the provider takes none: the end user is then only on the ledger. */
  readonly endUserField: "user" | "user_id" | undefined;
  readonly seedField: "seed" | "random_seed";
  /** Whether the provider has OpenAI's Responses API, too, as `POST /responses` below the same base URL. */
  readonly hasResponsesApi: boolean;
  /** Header of the key: `Authorization: Bearer`, or the bare key in `api-key`. */
  readonly keyHeader: "authorization" | "api-key";
  /** Whether a stream states usage only when asked by `stream_options.include_usage`. */
  readonly asksForUsage: boolean;
  /** Whether `stream_options.include_obfuscation` is known to the provider. */
  readonly takesObfuscationOption: boolean;
  /** Whether it knows the role `developer`; if not, such messages of native requests become `system` messages. */
  readonly takesDeveloperRole: boolean;
  /** Whether reasoning of earlier turns is sent back, as `reasoning_content`. If not, it is left out. */
  readonly takesReasoning: boolean;
  /** Where tokens read from the cache are stated: `prompt_tokens_details`, or DeepSeek's hit and miss counts. */
  readonly cacheUsage: "prompt_tokens_details" | "prompt_cache_hit_tokens";
  /** Member of a stream's chunk that may hold `usage` and `error` besides the chunk itself: Groq's `x_groq`. */
  readonly chunkExtension: string | undefined;
  /**
   * Whether reasoning tokens may come on top of `completion_tokens` instead of being a part of them; `total_tokens`
   * then tells.
   */
  readonly reasoningMayBeExtra: boolean;
  /** Whether `usage.cost` states what the call costs, in USD. */
  readonly statesCost: boolean;
  /** Finish reasons beyond `stop`, `length`, `tool_calls`, `function_call` and `content_filter`. */
  readonly finishReasons: Readonly<Record<string, FinishReason | FinishFailure>>;
  /**
   * What makes a stream complete that ends without `[DONE]`, besides a finish reason for every choice: the usage
   * (the provider always sends it, after the finish reason, so that without it the stream was cut) or nothing
   * (usage is then absent, and estimated by the caller).
   */
  readonly endWithoutDone: "needs_usage" | "needs_finish_reason_only";
  /** Codes and types of errors beyond OpenAI's. */
  readonly errorCodes: Readonly<Record<string, ProviderErrorReason>>;
  /** Response headers that carry the provider's request id; the first that is there counts. */
  readonly requestIdHeaders: readonly string[];
  /** Statuses that mean overload by themselves, whatever the body says. */
  readonly overloadedStatuses: readonly number[];
  /** How it makes embeddings, at `/embeddings`; undefined when it makes none, or otherwise. */
  readonly embeddings: EmbeddingProfile | undefined;
  /** For providers that have no error code for it: the message of a 4xx that says the input is too long. */
  readonly contextTooLongPattern: RegExp | undefined;
  /** Likewise for a content filter. */
  readonly contentFilteredPattern: RegExp | undefined;
}
