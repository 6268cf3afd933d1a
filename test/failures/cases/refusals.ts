import type { Reason } from "./failure-words.ts";
import { AT_ONCE, BACKOFF, type Expected, type FaultCase, NOT_BILLED, REPORTED, wait } from "./fault-case.ts";

const both = (expected: Expected) => ({ unary: expected, stream: expected });

/** Asked three times, then the next provider. */
const retried = (failure: Reason) =>
  both({ failure, failures: 3, next: true, ledger: NOT_BILLED, takes: BACKOFF });

/** Asked once: what it says does not pass by waiting. */
const refused = (failure: Reason, next: boolean) =>
  both({ failure, next, ledger: NOT_BILLED, takes: AT_ONCE });

/** The same provider answers after the wait, unless another one is asked instead of waiting for more than a second. */
const awaited = (fromMs: number, toMs: number, isShort = false) =>
  both({
    failure: "PROVIDER_RATE_LIMITED",
    recovers: true,
    next: !isShort,
    ...(!isShort && { beforeNext: { takes: AT_ONCE } }),
    ledger: NOT_BILLED,
    takes: wait("the wait asked for", fromMs, toMs),
  });

const contextTooLong = { status: 400, errorCode: "context_length_exceeded" } as const;
const waitInBody = JSON.stringify({
  error: {
    ...{ code: 429, status: "RESOURCE_EXHAUSTED", message: "Quota exceeded." },
    details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1.25s" }],
  },
});

/** The provider refuses before it works: nothing is billed. */
export const REFUSALS: readonly FaultCase[] = [
  {
    fault: "429 once, `retry-after: 2`",
    script: { status: 429, retryAfter: 2, times: 1 },
    ...awaited(2_000, 2_000),
  },
  {
    fault: "429 once, `retry-after` as a date 3 s ahead",
    script: { status: 429, retryAfterDate: 3, times: 1 },
    // A date has no fractions of a second.
    ...awaited(1_995, 3_000),
  },
  {
    fault: "429 once, `retry-after-ms: 1250`",
    script: { status: 429, retryAfterMs: 1_250, times: 1 },
    ...awaited(1_250, 1_250),
  },
  {
    fault: "429 once, `retryDelay` of 1.25 s in the body (Gemini)",
    group: "gemini",
    script: { status: 429, errorBody: waitInBody, times: 1 },
    ...awaited(1_250, 1_250),
  },
  {
    fault: "429 once, a wait of 1.25 s in its message only",
    script: { status: 429, errorMessage: "Limit reached. Please try again in 1.25s. Visit us.", times: 1 },
    ...awaited(1_250, 1_250),
  },
  {
    fault: "429 once, `retry-after-ms: 300`",
    script: { status: 429, retryAfterMs: 300, times: 1 },
    ...awaited(300, 300, true),
  },
  {
    fault: "429, `retry-after: 30`",
    script: { status: 429, retryAfter: 30 },
    ...both({
      ...{ failure: "PROVIDER_RATE_LIMITED", next: true, ledger: NOT_BILLED, takes: AT_ONCE },
      retryAfterMs: 30_000,
    }),
  },
  {
    fault: "429, `retry-after: 7`, which is beyond the deadline",
    ...{ script: { status: 429, retryAfter: 7 }, deadlineMs: 3_000 },
    ...both({
      ...{ failure: "PROVIDER_RATE_LIMITED", next: true, ledger: NOT_BILLED, takes: AT_ONCE },
      retryAfterMs: 7_000,
    }),
  },
  { fault: "429 without a wait", script: { status: 429 }, ...retried("PROVIDER_RATE_LIMITED") },
  { fault: "500", script: { status: 500 }, ...retried("PROVIDER_ERROR") },
  { fault: "502", script: { status: 502 }, ...retried("PROVIDER_ERROR") },
  {
    fault: "502 with a page of HTML",
    script: { status: 502, errorBody: "<html><head><title>502 Bad Gateway</title></head></html>" },
    ...retried("PROVIDER_ERROR"),
  },
  { fault: "503", script: { status: 503 }, ...retried("PROVIDER_OVERLOADED") },
  {
    fault: "503, `x-should-retry: false`",
    script: { status: 503, headers: { "x-should-retry": "false" } },
    ...refused("PROVIDER_OVERLOADED", true),
  },
  { fault: "529", script: { status: 529 }, ...retried("PROVIDER_OVERLOADED") },
  { fault: "401", script: { status: 401 }, ...refused("PROVIDER_AUTHENTICATION", true) },
  { fault: "402", script: { status: 402 }, ...refused("PROVIDER_QUOTA_EXHAUSTED", true) },
  {
    fault: "429 `insufficient_quota`",
    script: { status: 429, errorCode: "insufficient_quota", errorType: "insufficient_quota" },
    ...refused("PROVIDER_QUOTA_EXHAUSTED", true),
  },
  { fault: "404", script: { status: 404 }, ...refused("PROVIDER_MODEL_NOT_FOUND", true) },
  { fault: "400", script: { status: 400 }, ...refused("PROVIDER_INVALID_REQUEST", false) },
  {
    fault: "400, input too long; the next model's context is larger",
    ...{ nextGroup: "larger", script: contextTooLong },
    ...refused("CONTEXT_TOO_LONG", true),
  },
  {
    fault: "400, input too long; the next model's context is smaller",
    ...{ nextGroup: "smaller", script: contextTooLong },
    ...refused("CONTEXT_TOO_LONG", false),
  },
  {
    fault: "400, input too long; the next model's context is unknown",
    script: contextTooLong,
    ...refused("CONTEXT_TOO_LONG", false),
  },
  {
    fault: "400, content filter",
    script: { status: 400, errorCode: "content_filter" },
    ...refused("CONTENT_FILTERED", false),
  },
  {
    fault: "200, finish reason `content_filter`",
    script: { finishReason: "content_filter" },
    ...both({ next: false, ledger: REPORTED, takes: AT_ONCE, finishReason: "CONTENT_FILTER" }),
  },
  {
    fault: "redirect to another host",
    script: { fault: "redirect" },
    ...refused("PROVIDER_BAD_RESPONSE", true),
  },
];
