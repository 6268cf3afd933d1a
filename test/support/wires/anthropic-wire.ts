import { event } from "../provider-calls.ts";
import type { WireFormat } from "../wire-format.ts";

const namedEvent = (data: Readonly<Record<string, unknown>> & { readonly type: string }) =>
  `event: ${data.type}\n${event(data)}`;

const messageDelta = (stopReason: string, usage?: unknown) =>
  namedEvent({
    type: "message_delta",
    delta: { stop_reason: stopReason, stop_sequence: null },
    ...(usage === undefined ? {} : { usage }),
  });

const textDelta = (text: string) =>
  namedEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } });

/** Anthropic's Messages API. */
export const anthropicWire: WireFormat = {
  path: () => "/messages",
  helloBody: (model) => ({ model, max_tokens: 8_192, messages: [{ role: "user", content: "Hello" }] }),
  streamBody: { stream: true },
  finishReasons: {
    stop: "end_turn",
    length: "max_tokens",
    tool_calls: "tool_use",
    content_filter: "refusal",
  },
  choice: (text, stopReason) => ({ content: [{ type: "text", text }], stop_reason: stopReason }),
  answer: ([choice], usage) => ({ type: "message", role: "assistant", ...(choice as object), usage }),
  badAnswers: {
    "no content": { type: "message", stop_reason: "end_turn" },
    "no stop reason": { type: "message", content: [{ type: "text", text: "Hel" }], stop_reason: null },
    "an unknown stop reason": { type: "message", content: [], stop_reason: "wat" },
  },
  usage: (tokensIn, tokensOut) => ({ input_tokens: tokensIn, output_tokens: tokensOut }),
  // What was read from the cache is not part of the input.
  tooManyCachedTokens: undefined,
  severalChoices: false,
  encoding: "utf8",
  keepAlive: ": keep-alive\n\n\n\n",
  garbage: event("{oops"),
  halfEvent: 'data: {"choi',
  usageEnds: false,
  begin:
    namedEvent({
      type: "message_start",
      message: { id: "msg_1", type: "message", role: "assistant", content: [], model: "some-model" },
    }) + namedEvent({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
  text: textDelta,
  empty: namedEvent({ type: "ping" }) + textDelta(""),
  finish: (stopReason) => messageDelta(stopReason),
  usageEvent: (tokensIn, tokensOut) =>
    messageDelta("end_turn", { input_tokens: tokensIn, output_tokens: tokensOut }),
  end: namedEvent({ type: "message_stop" }),
  endsWithoutTerminal: false,
  quotaError: { type: "error", error: { type: "billing_error", message: "no money" } },
  rateLimitEvent: namedEvent({
    type: "error",
    error: { type: "rate_limit_error", message: "slow" },
  }),
};
