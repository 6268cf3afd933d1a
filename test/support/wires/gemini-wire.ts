import { event } from "../provider-calls.ts";
import type { WireFormat } from "../wire-format.ts";

const candidate = (text: string | undefined, finishReason: string | null, index = 0) => ({
  ...(text === undefined ? {} : { content: { role: "model", parts: [{ text }] } }),
  ...(finishReason === null ? {} : { finishReason }),
  index,
});

const usage = (tokensIn: unknown, tokensOut: unknown) => ({
  promptTokenCount: tokensIn,
  candidatesTokenCount: tokensOut,
});

const DAILY = {
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [{ quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier" }],
};

/** Google's Gemini API. */
export const geminiWire: WireFormat = {
  path: (model, stream) => `/models/${model}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
  helloBody: () => ({ contents: [{ role: "user", parts: [{ text: "Hello" }] }] }),
  streamBody: {},
  finishReasons: { stop: "STOP", length: "MAX_TOKENS", tool_calls: "STOP", content_filter: "SAFETY" },
  choice: candidate,
  answer: (candidates, usageMetadata) => ({ candidates, usageMetadata }),
  badAnswers: {
    "no candidates": { candidates: [] },
    "no finish reason": { candidates: [candidate("Hel", null)] },
    "an unknown finish reason": { candidates: [candidate("x", "WAT")] },
    "a candidate that is no object": { candidates: [7] },
  },
  usage,
  tooManyCachedTokens: { ...usage(10, 1), cachedContentTokenCount: 11 },
  severalChoices: true,
  encoding: "utf8",
  keepAlive: ": keep-alive\n\n\n\n",
  garbage: event("{oops"),
  halfEvent: 'data: {"choi',
  usageEnds: false,
  begin: "",
  text: (text, index) => event({ candidates: [candidate(text, null, index)] }),
  empty: event({ candidates: [candidate("", null)], modelVersion: "some-model" }),
  finish: (finishReason, index) => event({ candidates: [candidate(undefined, finishReason, index)] }),
  usageEvent: (tokensIn, tokensOut) => event({ usageMetadata: usage(tokensIn, tokensOut) }),
  end: "",
  endsWithoutTerminal: true,
  quotaError: { error: { code: 429, message: "no money", status: "RESOURCE_EXHAUSTED", details: [DAILY] } },
  rateLimitEvent: event({ error: { code: 429, message: "slow", status: "RESOURCE_EXHAUSTED" } }),
};
