import type { Reason } from "./failure-words.ts";
import {
  AT_ONCE,
  BACKOFF,
  ESTIMATED,
  type Expected,
  type FaultCase,
  HALF_TEXT,
  type LedgerRow,
  REPORTED,
  UNKNOWN,
  WHOLE_TEXT,
} from "./fault-case.ts";

const both = (expected: Expected) => ({ unary: expected, stream: expected });

/** Nothing was delivered: asked three times, then the next provider. It may have worked. */
const retried = (failure: Reason, ledger = UNKNOWN): Expected => ({
  ...{ failure, failures: 3, next: true, ledger, takes: BACKOFF },
});

/** It worked to the end, and bills that: it would bill a repetition as well. */
const billed = (failure: Reason): Expected => ({ failure, next: true, ledger: REPORTED, takes: AT_ONCE });

/** A part was delivered, so that nothing can follow it. */
const atEnd = (failure: Reason): Expected => ({
  ...{ failure, begun: HALF_TEXT, next: false, ledger: ESTIMATED, takes: AT_ONCE },
});

/** It stated its input before the output, which alone is counted. */
const INPUT_REPORTED: LedgerRow = { ...ESTIMATED, flag: "INPUT_REPORTED" };

/** It is an answer all the same. */
const answer = (ledger = REPORTED): Expected => ({ next: false, ledger, takes: AT_ONCE });

/** The fault reaches the gateway after the text, and not within the same read: then the text would not be delivered. */
const AFTER_ITS_TEXT = { tokenDelayMs: 30 };

/** For tens of megabytes through three processes. */
const LONG_MS = 5_000;

/** The provider may have worked, and what it sends is no answer, or only half of one. */
export const BROKEN_ANSWERS: readonly FaultCase[] = [
  {
    fault: "connection reset before the headers",
    script: { fault: "reset" },
    ...both(retried("PROVIDER_ERROR")),
  },
  { fault: "200 with a page of HTML", script: { fault: "html" }, ...both(retried("PROVIDER_BAD_RESPONSE")) },
  { fault: "200 without a body", script: { fault: "emptyBody" }, ...both(retried("PROVIDER_BAD_RESPONSE")) },
  {
    fault: "no choices, usage stated",
    script: { fault: "emptyChoices" },
    ...both(billed("PROVIDER_BAD_RESPONSE")),
  },
  {
    fault: "no candidates, usage stated (Gemini)",
    group: "gemini",
    script: { fault: "emptyChoices" },
    unary: billed("PROVIDER_BAD_RESPONSE"),
    // Every chunk states a usage, and before the finish reason none is the final one.
    stream: retried("PROVIDER_STREAM_CUT", INPUT_REPORTED),
  },
  {
    fault: "no choices, no usage",
    script: { fault: "emptyChoices", usageOverride: null },
    usageHidden: true,
    ...both(retried("PROVIDER_BAD_RESPONSE")),
  },
  {
    fault: "not JSON, from the beginning",
    script: { fault: "garbage", afterTokens: 0 },
    ...both(retried("PROVIDER_BAD_RESPONSE")),
  },
  {
    fault: "not JSON, after half of the text",
    script: { fault: "garbage" },
    streamScript: AFTER_ITS_TEXT,
    ...{ unary: retried("PROVIDER_BAD_RESPONSE"), stream: atEnd("PROVIDER_BAD_RESPONSE") },
  },
  {
    fault: "truncated JSON",
    script: { fault: "truncatedJson" },
    streamScript: AFTER_ITS_TEXT,
    ...{ unary: retried("PROVIDER_BAD_RESPONSE"), stream: atEnd("PROVIDER_BAD_RESPONSE") },
  },
  {
    fault: "cut before the first token",
    script: { fault: "cut", afterTokens: 0 },
    ...{ unary: retried("PROVIDER_ERROR"), stream: retried("PROVIDER_STREAM_CUT") },
  },
  {
    fault: "cut after half of the text",
    script: { fault: "cut" },
    streamScript: AFTER_ITS_TEXT,
    ...{ unary: retried("PROVIDER_ERROR"), stream: atEnd("PROVIDER_STREAM_CUT") },
  },
  {
    fault: "proper end of HTTP after half of the text",
    script: { fault: "cleanEnd" },
    streamScript: AFTER_ITS_TEXT,
    ...{ unary: retried("PROVIDER_BAD_RESPONSE"), stream: atEnd("PROVIDER_STREAM_CUT") },
  },
  {
    fault: "no `[DONE]` after finish reason and usage",
    script: { fault: "noDone" },
    ...both(answer()),
  },
  {
    fault: "neither `[DONE]` nor usage after the finish reason",
    script: { fault: "noDone", usageOverride: null },
    streamScript: AFTER_ITS_TEXT,
    usageHidden: true,
    unary: answer(ESTIMATED),
    stream: { ...atEnd("PROVIDER_STREAM_CUT"), begun: WHOLE_TEXT },
  },
  {
    fault: "error object before the first token",
    script: { fault: "errorEvent", afterTokens: 0 },
    ...both(retried("PROVIDER_ERROR")),
  },
  {
    fault: "error event after half of the text",
    script: { fault: "errorEvent" },
    streamScript: AFTER_ITS_TEXT,
    ...{ unary: retried("PROVIDER_ERROR"), stream: atEnd("PROVIDER_ERROR") },
  },
  { fault: "usage missing", script: { fault: "noUsage" }, usageHidden: true, ...both(answer(ESTIMATED)) },
  {
    fault: "usage negative",
    script: { usageOverride: { prompt_tokens: -5, completion_tokens: 8 } },
    usageHidden: true,
    ...both(answer({ ...ESTIMATED, flag: "NEGATIVE" })),
  },
  {
    fault: "usage above 2^53",
    script: { usageOverride: { prompt_tokens: 5, completion_tokens: 2 ** 62 } },
    usageHidden: true,
    ...both(answer({ ...ESTIMATED, flag: "TOO_LARGE" })),
  },
  {
    fault: "more cached than input tokens",
    script: {
      usageOverride: { prompt_tokens: 5, completion_tokens: 8, prompt_tokens_details: { cached_tokens: 6 } },
    },
    usageHidden: true,
    ...both(answer({ ...ESTIMATED, flag: "CACHE_EXCEEDS_INPUT" })),
  },
  { fault: "content type `text/plain`", script: { contentType: "text/plain" }, ...both(answer()) },
  {
    fault: "content type `text/html`",
    script: { contentType: "text/html" },
    ...{ unary: answer(), stream: retried("PROVIDER_BAD_RESPONSE") },
  },
  {
    fault: "a line of 10 MB",
    script: { fault: "hugeLine", afterTokens: 0 },
    unary: { ...answer(), takes: { ...AT_ONCE, toMs: LONG_MS } },
    stream: { ...retried("PROVIDER_BAD_RESPONSE"), takes: { ...BACKOFF, toMs: LONG_MS } },
  },
  {
    fault: "cut before the first token, input stated (Anthropic)",
    group: "anthropic",
    script: { fault: "cut", afterTokens: 0 },
    streamScript: AFTER_ITS_TEXT,
    unary: retried("PROVIDER_ERROR"),
    stream: retried("PROVIDER_STREAM_CUT", INPUT_REPORTED),
  },
  {
    fault: "cut after half of the text, input stated (Anthropic)",
    group: "anthropic",
    script: { fault: "cut" },
    streamScript: AFTER_ITS_TEXT,
    unary: retried("PROVIDER_ERROR"),
    stream: { ...atEnd("PROVIDER_STREAM_CUT"), ledger: INPUT_REPORTED },
  },
  {
    fault: "`overloaded_error` before the first token (Anthropic)",
    group: "anthropic",
    script: { fault: "errorEvent", errorType: "overloaded_error", afterTokens: 0 },
    unary: retried("PROVIDER_OVERLOADED"),
    stream: retried("PROVIDER_OVERLOADED", INPUT_REPORTED),
  },
];
