import type { FinishMeaning } from "../finish-failure.ts";

/** There is none for tool calls: an answer with calls that ends with `STOP` is one. */
export function mapFinishReason(finishReason: string, hasToolCalls: boolean): FinishMeaning {
  switch (finishReason) {
    case "STOP":
      return hasToolCalls ? "tool_calls" : "stop";
    case "MAX_TOKENS":
      return "length";
    case "SAFETY":
    case "RECITATION":
    case "LANGUAGE":
    case "BLOCKLIST":
    case "PROHIBITED_CONTENT":
    case "SPII":
    case "IMAGE_SAFETY":
    case "IMAGE_PROHIBITED_CONTENT":
    case "IMAGE_RECITATION":
      return "content_filter";
    case "MALFORMED_FUNCTION_CALL":
    case "UNEXPECTED_TOOL_CALL":
    case "TOO_MANY_TOOL_CALLS":
    case "MALFORMED_RESPONSE":
    case "OTHER":
      return { failure: "PROVIDER_ERROR" };
    default:
      return undefined;
  }
}
