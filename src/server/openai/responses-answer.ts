import type { FinishReason, MessagePart } from "../../core/completion.ts";
import type { AttemptReport, CompletionResult } from "../../core/gateway.ts";
import type { ResponsesRequest } from "./responses-request.ts";

/** What all objects of one response have in common. */
export interface ResponseFrame {
  readonly request: ResponsesRequest;
  readonly requestId: string;
  readonly createdAt: Date;
}

/** Members that a response repeats of its request, and what they are without it. */
const REPEATED: Readonly<Record<string, unknown>> = {
  instructions: null,
  max_output_tokens: null,
  max_tool_calls: null,
  metadata: {},
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: null,
  temperature: null,
  text: { format: { type: "text" } },
  tool_choice: "auto",
  tools: [],
  top_p: null,
  truncation: "disabled",
  user: null,
};

/** A response that has not ended yet. */
export function beginResponse(model: string, { request, requestId, createdAt }: ResponseFrame) {
  const { body } = request.native;
  return {
    id: `resp_${requestId}`,
    object: "response",
    created_at: Math.floor(createdAt.getTime() / 1000),
    status: "in_progress",
    background: false,
    error: null,
    incomplete_details: null as { readonly reason: string } | null,
    model,
    output: [] as readonly unknown[],
    // Only the provider's own response can be referred to.
    store: false,
    usage: null as unknown,
    ...Object.fromEntries(Object.entries(REPEATED).map(([name, value]) => [name, body[name] ?? value])),
  };
}

/** The same at its end. `output` are its items. */
export function endResponse(
  begun: ReturnType<typeof beginResponse>,
  end: {
    readonly output: readonly unknown[];
    readonly finishReason: FinishReason | undefined;
    readonly attempts: readonly AttemptReport[];
  },
) {
  const reason = incompleteReason(end.finishReason);
  return {
    ...begun,
    status: reason === undefined ? "completed" : "incomplete",
    incomplete_details: reason === undefined ? null : { reason },
    output: end.output,
    usage: toUsage(end.attempts),
  };
}

function incompleteReason(finishReason: FinishReason | undefined): string | undefined {
  if (finishReason === "length") return "max_output_tokens";
  return finishReason === "content_filter" ? finishReason : undefined;
}

/** A whole answer that is told again. */
export function toResponse(result: CompletionResult, frame: ResponseFrame) {
  const [choice] = result.choices;
  return endResponse(beginResponse(result.model, frame), {
    output: toItems(choice?.message.parts ?? [], frame),
    finishReason: choice?.finishReason,
    attempts: result.attempts,
  });
}

function toItems(parts: readonly MessagePart[], { request, requestId }: ResponseFrame): readonly unknown[] {
  const items: { readonly type: string; readonly content?: unknown[] }[] = [];
  for (const part of parts) {
    const id = itemId(requestId, items.length);
    if (part.kind === "reasoning") items.push(reasoningItem(id, part.text));
    else if (part.kind === "tool_call") items.push(toolItem(id, part, request));
    else if (part.kind === "text" || part.kind === "refusal") {
      const content = part.kind === "text" ? textContent(part.text) : { type: "refusal", refusal: part.text };
      const last = items.at(-1);
      if (last?.content) last.content.push(content);
      else items.push({ ...messageItem(id, "completed"), content: [content] });
    }
  }
  return items;
}

/** Distinguishes the items of one response. */
export function itemId(requestId: string, index: number): string {
  return `item_${requestId}_${index}`;
}

export function textContent(text: string) {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

/** Without its content. */
export function messageItem(id: string, status: "in_progress" | "completed") {
  return { id, type: "message", status, role: "assistant" };
}

export function reasoningItem(id: string, text: string | undefined) {
  return { id, type: "reasoning", summary: text === undefined ? [] : [{ type: "summary_text", text }] };
}

/** What a custom tool is given is text. */
export function toolItem(
  id: string,
  call: { readonly id: string; readonly name: string; readonly argumentsJson: string },
  { customTools }: ResponsesRequest,
) {
  const members = { call_id: call.id, name: call.name, status: "completed" };
  return customTools.has(call.name)
    ? { id, type: "custom_tool_call", ...members, input: call.argumentsJson }
    : { id, type: "function_call", ...members, arguments: call.argumentsJson };
}

/** Undefined leaves a member out: a bucket that no provider stated is not zero. */
function toUsage(attempts: readonly AttemptReport[]) {
  const usage = attempts.at(-1)?.usage;
  if (!usage) return null;
  const { tokensIn, tokensOut, cacheReadTokensIn, cacheWriteTokensIn, reasoningTokensOut } = usage;
  return {
    input_tokens: tokensIn,
    input_tokens_details: { cached_tokens: cacheReadTokensIn, cache_write_tokens: cacheWriteTokensIn },
    output_tokens: tokensOut,
    output_tokens_details: { reasoning_tokens: reasoningTokensOut },
    total_tokens: tokensIn + tokensOut,
  };
}
