import { readObject } from "../../providers/read-json.ts";
import type { CompatibleRequest } from "../compatible/completion-format.ts";
import {
  FALLBACK_MODELS,
  ignoredMembers,
  invalid,
  parseBody,
  readEndUser,
  readFallbackModels,
  readModel,
  readStreamed,
  readTags,
} from "../compatible/read-request.ts";
import { toChatInput } from "./chat-input.ts";

/** A body of `POST /v1/chat/completions`. */
export interface ChatRequest extends CompatibleRequest {
  /** The caller wants the usage of a stream. */
  readonly includeUsage: boolean;
}

/**
 * Reads the body, as far as the gateway needs it; the rest is the provider's.
 * @throws GatewayError INVALID_REQUEST, with the member that it is about
 */
export function parseChatRequest(bytes: Uint8Array): ChatRequest {
  const { text, body } = parseBody(bytes);
  const model = readModel(body);
  if (!Array.isArray(body.messages) || body.messages.length === 0)
    throw invalid("messages", "Invalid 'messages': expected a non-empty array.");
  const streamed = readStreamed(body);
  const endUser = readEndUser(body, ["safety_identifier", "user"]);
  const { input, untranslatable } = toChatInput(body, endUser);
  // OpenAI takes metadata only for what it stores; without, it is for the gateway alone.
  const gatewayMembers = body.store === true ? [FALLBACK_MODELS] : [FALLBACK_MODELS, "metadata"];
  return {
    model,
    fallbackModels: readFallbackModels(body),
    tags: readTags(body, "metadata"),
    endUser,
    streamed,
    includeUsage: readObject(body.stream_options)?.include_usage === true,
    input,
    native: { dialect: "openai-chat", text, body, gatewayMembers, untranslatable },
  };
}

/** Members that a provider of another dialect is told of, in its own words. */
const TRANSLATED: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "stream",
  "stream_options",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "response_format",
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "stop",
  "seed",
  "user",
  "safety_identifier",
  "metadata",
  FALLBACK_MODELS,
]);

/** What a member means that says nothing. */
const DEFAULTS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["n", 1],
  ["logprobs", false],
  ["store", false],
  ["frequency_penalty", 0],
  ["presence_penalty", 0],
]);

/** Names the members that had to be left out for a provider of another dialect. */
export function ignoredChatMembers({ native }: ChatRequest): readonly string[] {
  return ignoredMembers(native.body, TRANSLATED, DEFAULTS);
}
