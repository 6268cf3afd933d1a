import { awsEvent, awsException } from "../aws-frames.ts";
import type { WireFormat } from "../wire-format.ts";

const usage = (inputTokens: unknown, outputTokens: unknown) => ({ inputTokens, outputTokens });

const message = (text: string) => ({ message: { role: "assistant", content: [{ text }] } });

const textDelta = (text: string) => awsEvent("contentBlockDelta", { contentBlockIndex: 0, delta: { text } });

/** Bedrock's Converse API. */
export const bedrockWire: WireFormat = {
  path: (model, stream) => `/model/${encodeURIComponent(model)}/${stream ? "converse-stream" : "converse"}`,
  helloBody: () => ({ messages: [{ role: "user", content: [{ text: "Hello" }] }] }),
  streamBody: {},
  finishReasons: {
    stop: "end_turn",
    length: "max_tokens",
    tool_calls: "tool_use",
    content_filter: "guardrail_intervened",
  },
  choice: (text, stopReason) => ({ output: message(text), stopReason }),
  answer: ([choice], usageStated) => ({ ...(choice as object), usage: usageStated }),
  badAnswers: {
    "no output": { stopReason: "end_turn" },
    "no stop reason": { output: message("Hel") },
    "an unknown stop reason": { output: message("x"), stopReason: "wat" },
  },
  usage,
  // What was read from the cache is not part of the input.
  tooManyCachedTokens: undefined,
  severalChoices: false,
  encoding: "latin1",
  begin: awsEvent("messageStart", { role: "assistant" }),
  text: textDelta,
  empty: awsEvent("contentBlockStop", { contentBlockIndex: 7 }) + textDelta(""),
  keepAlive: "",
  finish: (stopReason) => awsEvent("messageStop", { stopReason }),
  usageEvent: (tokensIn, tokensOut) =>
    awsEvent("metadata", { usage: usage(tokensIn, tokensOut), metrics: { latencyMs: 1 } }),
  // The usage is the terminal event.
  end: "",
  usageEnds: true,
  endsWithoutTerminal: false,
  garbage: awsEvent("contentBlockDelta", "{oops"),
  halfEvent: textDelta("x").slice(0, 40),
  quotaError: undefined,
  rateLimitEvent: awsException("throttlingException", { message: "slow" }),
};
