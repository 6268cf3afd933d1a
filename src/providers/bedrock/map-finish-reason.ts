import type { FinishMeaning } from "../finish-failure.ts";

export function mapFinishReason(stopReason: string): FinishMeaning {
  switch (stopReason) {
    case "end_turn":
    case "stop_sequence":
      return "stop";
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length";
    case "tool_use":
      return "tool_calls";
    case "guardrail_intervened":
    case "content_filtered":
      return "content_filter";
    case "malformed_model_output":
    case "malformed_tool_use":
      return { failure: "PROVIDER_ERROR" };
    default:
      return undefined;
  }
}
