import type { Choice, FinishReason } from "../../core/completion.ts";
import type { CompletionResult } from "../../core/gateway.ts";
import type { Usage } from "../../core/usage.ts";
import { parseJson, readObject } from "../../providers/read-json.ts";

/** What the gateway says of an answer besides its content. */
export interface AnswerFrame {
  readonly requestId: string;
  readonly model: string;
  /** Whether the caller asked to see what the model thinks. */
  readonly showsThinking: boolean;
}

/** The answer of a provider of another dialect, as Anthropic would have given it. */
export function toMessage(result: CompletionResult, frame: Omit<AnswerFrame, "model">): string {
  const [choice] = result.choices;
  return JSON.stringify({
    ...messageMembers({ ...frame, model: result.model }),
    content: choice ? toContent(choice, frame.showsThinking) : [],
    ...stopMembers(choice?.finishReason ?? "stop"),
    usage: toMessageUsage(result.attempts.at(-1)?.usage),
  });
}

/** The members with which a message begins. */
export function messageMembers({ requestId, model }: AnswerFrame) {
  return { id: `msg_${requestId}`, type: "message", role: "assistant", model, container: null };
}

function toContent({ message }: Choice, showsThinking: boolean): readonly object[] {
  return message.parts.flatMap((part): readonly object[] => {
    switch (part.kind) {
      case "text":
      case "refusal":
        return part.text === "" ? [] : [textBlock(part.text)];
      case "reasoning":
        return showsThinking ? [thinkingBlock(part.text)] : [];
      case "tool_call":
        return [
          { ...toolUseBlock(part.id, part.name), input: readObject(parseJson(part.argumentsJson)) ?? {} },
        ];
      case "image":
      case "tool_result":
        // No model answers with them.
        return [];
      default:
        return part satisfies never;
    }
  });
}

export function textBlock(text: string): object {
  return { type: "text", text, citations: null };
}

/** Only Anthropic can sign what its models think. Without a signature it never gets this back from the gateway. */
export function thinkingBlock(thinking: string): object {
  return { type: "thinking", thinking, signature: "" };
}

export function toolUseBlock(id: string, name: string): object {
  return { type: "tool_use", id, name, input: {}, caller: { type: "direct" } };
}

const STOP_REASONS: Readonly<Record<FinishReason, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal",
};

/** Why an answer ended. Which of the stop sequences it was, other providers do not tell. */
export function stopMembers(finishReason: FinishReason) {
  return { stop_reason: STOP_REASONS[finishReason], stop_sequence: null, stop_details: null };
}

/** Without what was read from the cache or written to it; null for a bucket that no provider stated. */
export function toMessageUsage(usage: Usage | undefined) {
  return {
    input_tokens: usage?.uncachedTokensIn ?? null,
    cache_creation_input_tokens: usage?.cacheWriteTokensIn ?? null,
    cache_read_input_tokens: usage?.cacheReadTokensIn ?? null,
    output_tokens: usage?.tokensOut ?? null,
    output_tokens_details:
      usage?.reasoningTokensOut === undefined ? null : { thinking_tokens: usage.reasoningTokensOut },
  };
}
