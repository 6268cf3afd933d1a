import type { FinishMeaning } from "../finish-failure.ts";
import type { OpenAiChatProfile } from "./profile.ts";

/**
 * The provider's finish reason as ours, or as the failure that it means. Undefined when it is not a known one: an
 * answer that ended in an unknown way is not passed off as complete.
 */
export function mapFinishReason(finishReason: string, profile: OpenAiChatProfile): FinishMeaning {
  switch (finishReason) {
    case "stop":
    case "length":
    case "tool_calls":
    case "content_filter":
      return finishReason;
    case "function_call":
      return "tool_calls";
    default:
      return Object.hasOwn(profile.finishReasons, finishReason)
        ? profile.finishReasons[finishReason]
        : undefined;
  }
}
