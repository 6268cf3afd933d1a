import type { FinishMeaning } from "../finish-failure.ts";

/** `pause_turn` only comes with the API's own tools, which only native requests ask for: it is unknown here. */
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
    case "refusal":
      return "content_filter";
    default:
      return undefined;
  }
}
