import { event } from "../provider-calls.ts";
import type { WireFormat } from "../wire-format.ts";

/** An event as the Responses API frames it. */
export const namedEvent = (type: string, members: object): string =>
  `event: ${type}\n${event({ type, ...members })}`;

const output = (text: string) => [
  { type: "message", role: "assistant", content: [{ type: "output_text", text }] },
];
const PLACE = { item_id: "msg_1", output_index: 0, content_index: 0 };
const textDelta = (text: string) => namedEvent("response.output_text.delta", { ...PLACE, delta: text });

/** OpenAI's Responses API. */
export const openAiResponsesWire: WireFormat = {
  path: () => "/responses",
  helloBody: (model) => ({ model, input: "Hello" }),
  streamBody: { stream: true },
  finishReasons: {
    stop: "completed",
    length: "max_output_tokens",
    tool_calls: "completed",
    content_filter: "content_filter",
  },
  choice: (text, reason) => ({
    status: reason === "completed" ? reason : "incomplete",
    incomplete_details: reason === "completed" ? null : { reason },
    output: output(text),
  }),
  answer: ([choice], usage) => ({ object: "response", ...(choice as object), usage }),
  badAnswers: {
    "no output": { object: "response", status: "completed" },
    "a response that is still in progress": { object: "response", status: "in_progress", output: [] },
    "an output that is no list": { object: "response", status: "completed", output: "Hel" },
  },
  usage: (tokensIn, tokensOut) => ({ input_tokens: tokensIn, output_tokens: tokensOut }),
  tooManyCachedTokens: {
    input_tokens: 5,
    output_tokens: 1,
    input_tokens_details: { cached_tokens: 6 },
  },
  severalChoices: false,
  anyFinishReason: true,
  maxLineBytes: 16 * 1024 * 1024,
  encoding: "utf8",
  keepAlive: ": keep-alive\n\n\n\n",
  garbage: event("{oops"),
  halfEvent: 'data: {"type":"resp',
  usageEnds: true,
  begin:
    namedEvent("response.created", { response: { status: "in_progress", model: "some-model", output: [] } }) +
    namedEvent("response.in_progress", { response: { status: "in_progress", output: [] } }) +
    namedEvent("response.output_item.added", {
      output_index: 0,
      item: { id: "msg_1", type: "message", content: [] },
    }) +
    namedEvent("response.content_part.added", { ...PLACE, part: { type: "output_text", text: "" } }),
  text: textDelta,
  empty: namedEvent("keepalive", {}) + textDelta(""),
  // Why it ended is said by the event that ends the stream.
  finish: () => namedEvent("response.output_text.done", PLACE),
  usageEvent: (tokensIn, tokensOut) =>
    namedEvent("response.completed", {
      response: { status: "completed", usage: { input_tokens: tokensIn, output_tokens: tokensOut } },
    }),
  end: "",
  endsWithoutTerminal: false,
  quotaError: { error: { message: "no money", type: "insufficient_quota", code: "insufficient_quota" } },
  rateLimitEvent: namedEvent("error", { code: "rate_limit_exceeded", message: "slow", param: null }),
};
