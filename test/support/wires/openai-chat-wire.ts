import { chunk, DONE, event, usageChunk } from "../provider-calls.ts";
import type { WireFormat } from "../wire-format.ts";

/** OpenAI's chat completions. */
export const openAiChatWire: WireFormat = {
  path: () => "/chat/completions",
  helloBody: (model) => ({ model, messages: [{ role: "user", content: "Hello" }] }),
  streamBody: { stream: true },
  finishReasons: {
    stop: "stop",
    length: "length",
    tool_calls: "tool_calls",
    content_filter: "content_filter",
  },
  choice: (content, finishReason, index = 0) => ({
    index,
    message: { role: "assistant", content },
    finish_reason: finishReason,
  }),
  answer: (choices, usage) => ({ choices, usage }),
  badAnswers: {
    "no choices": { choices: [] },
    "a choice without a message": { choices: [{ index: 0, finish_reason: "stop" }] },
    "no finish reason": { choices: [{ index: 0, message: { content: "Hel" }, finish_reason: null }] },
    "an unknown finish reason": { choices: [{ message: { content: "x" }, finish_reason: "wat" }] },
  },
  usage: (tokensIn, tokensOut) => ({ prompt_tokens: tokensIn, completion_tokens: tokensOut }),
  tooManyCachedTokens: {
    prompt_tokens: 10,
    completion_tokens: 1,
    prompt_cache_hit_tokens: 11,
    prompt_tokens_details: { cached_tokens: 11 },
  },
  severalChoices: true,
  encoding: "utf8",
  keepAlive: ": keep-alive\n\n\n\n",
  garbage: event("{oops"),
  halfEvent: 'data: {"choi',
  usageEnds: false,
  begin: "",
  text: (content, index = 0) => event({ choices: [{ index, delta: { content }, finish_reason: null }] }),
  empty: chunk({ role: "assistant", content: "" }),
  finish: (finishReason, index = 0) =>
    event({ choices: [{ index, delta: {}, finish_reason: finishReason }], usage: null }),
  usageEvent: usageChunk,
  end: DONE,
  endsWithoutTerminal: true,
  quotaError: { error: { message: "no money", code: "insufficient_quota" } },
  rateLimitEvent: `event: error\n${event({ type: "rate_limit_error", message: "slow" })}`,
};
