import {
  deadline,
  ESTIMATED,
  type Expected,
  type FaultCase,
  HALF_TEXT,
  halfOf,
  PROVIDER_TIMEOUT,
  REPORTED,
  STREAM_IDLE_TIMEOUT,
  UNKNOWN,
  wait,
} from "./fault-case.ts";

const both = (expected: Expected) => ({ unary: expected, stream: expected });

/** A provider that was silent for so long is not asked again for the same request. */
const silent: Expected = {
  ...{ failure: "PROVIDER_TIMEOUT", next: true, ledger: UNKNOWN, takes: PROVIDER_TIMEOUT },
};

const DEADLINE_MS = 800;
/** Shorter than the limit between two tokens, too. */
const SHORT_MS = 600;
/** The provider has 30 s, the caller has not. */
const tooSlow: Expected = {
  ...{ failure: "DEADLINE_EXCEEDED", next: true, ledger: UNKNOWN, takes: deadline(DEADLINE_MS) },
  beforeNext: { failure: "PROVIDER_TIMEOUT", takes: halfOf(DEADLINE_MS) },
};

const answerWithin = (until: string, fromMs: number, toMs: number): Expected => ({
  ...{ next: false, ledger: REPORTED, takes: wait(until, fromMs, toMs) },
});

/** Longer than the provider's limit, with pauses that are shorter than the limit between tokens. */
const STEADY = { tokensOut: 8, tokenDelayMs: 80 };

/** The provider says nothing, or too little, or too late. */
export const SLOW_PROVIDERS: readonly FaultCase[] = [
  { fault: "silent: no headers", group: "hasty", script: { fault: "hang" }, ...both(silent) },
  {
    fault: "silent after the headers",
    group: "hasty",
    script: { fault: "hangAfterHeaders" },
    ...both(silent),
  },
  {
    fault: "keep-alives only",
    ...{ group: "hasty", script: { keepAlives: 100, keepAliveIntervalMs: 50 } },
    ...both(silent),
  },
  {
    fault: "headers one by one, in time",
    ...{ group: "hasty", script: { fault: "slowHeaders", headerDelayMs: 20 } },
    ...both(answerWithin("the last header", 60, 160)),
  },
  {
    fault: "headers after the limit",
    ...{ group: "hasty", script: { latencyMs: 5_000 } },
    ...both(silent),
  },
  {
    fault: "an error status after the limit",
    ...{ group: "hasty", script: { latencyMs: 5_000, status: 503 } },
    ...both(silent),
  },
  {
    fault: "slow but steady tokens, longer than the limit",
    ...{ group: "hasty", script: STEADY },
    unary: silent,
    stream: answerWithin("the last token", 7 * STEADY.tokenDelayMs, 8 * STEADY.tokenDelayMs),
  },
  {
    fault: "stall after half of the text",
    ...{ group: "hasty", script: { fault: "stall" } },
    unary: silent,
    stream: {
      ...{ failure: "PROVIDER_TIMEOUT", begun: HALF_TEXT, next: false },
      ...{ ledger: ESTIMATED, takes: STREAM_IDLE_TIMEOUT },
    },
  },
  {
    fault: "silent, and the caller's deadline is shorter than the limit",
    ...{ script: { fault: "hang" }, deadlineMs: DEADLINE_MS },
    ...both(tooSlow),
  },
  {
    fault: "stall after half of the text, until the deadline",
    ...{ script: { fault: "stall" }, deadlineMs: SHORT_MS },
    unary: {
      ...tooSlow,
      takes: deadline(SHORT_MS),
      beforeNext: { failure: "PROVIDER_TIMEOUT", takes: halfOf(SHORT_MS) },
    },
    stream: {
      ...{ failure: "DEADLINE_EXCEEDED", begun: HALF_TEXT, next: false },
      ...{ ledger: ESTIMATED, takes: deadline(SHORT_MS) },
    },
  },
];
