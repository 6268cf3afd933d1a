import type { Script } from "../../../simulator/script.ts";
import type { Reason } from "./failure-words.ts";

/** What the tests configure; the table names the settings. */
export const LIMITS = {
  /** `PROVIDER_TIMEOUT` of the group `hasty`; the others have 30 s. */
  providerTimeoutMs: 400,
  streamIdleMs: 700,
  /** For DNS, TCP and TLS. */
  connectMs: 500,
} as const;

/** The whole answer, of 8 tokens, and what comes of it before a fault amid it. */
export const WHOLE_TEXT = "w00 w01 w02 w03 w04 w05 w06 w07 ";
export const HALF_TEXT = "w00 w01 w02 w03 ";

/** Providers that are configured alike. */
export type Group =
  | ("openai" | "anthropic" | "gemini" | "hasty")
  /** Nobody listens; no such host; a certificate that nobody vouches for; no TLS where it is expected. */
  | ("refused" | "nameless" | "untrusted" | "plaintext")
  /** Accepts connections and says nothing. */
  | "handshake";

/** The provider that follows: with a window that is unknown, smaller or larger than the 8,000 tokens of `openai`. */
export type NextGroup = "next" | "smaller" | "larger";

/** One row of the table, and six tests or more: unary and streamed, through every face. */
export interface FaultCase {
  readonly fault: string;
  /** @default openai */
  readonly group?: Group;
  /** @default next */
  readonly nextGroup?: NextGroup;
  /** What the provider does. */
  readonly script?: Script;
  /** What it does besides when it streams. */
  readonly streamScript?: Script;
  /** Of the caller. */
  readonly deadlineMs?: number;
  /** The provider's usage is missing or nonsense. */
  readonly usageHidden?: boolean;
  readonly unary: Expected;
  readonly stream: Expected;
}

/** What is to become of a call. */
export interface Expected {
  /** Why an attempt fails; undefined when none does. */
  readonly failure?: Reason;
  /** How many fail while there is no other provider. @default 1 */
  readonly failures?: number;
  /** The same provider answers in the end. */
  readonly recovers?: boolean;
  /** Where it is not as without another provider. */
  readonly beforeNext?: { readonly failure?: Reason; readonly takes: Takes };
  /** What of the text had been delivered when it failed: a stream is at its end then. @default nothing */
  readonly begun?: string;
  /** Whether the next provider of the chain is asked, and so answers. */
  readonly next: boolean;
  /** Of each failed attempt, or of the answer when none fails. */
  readonly ledger: LedgerRow;
  /** Until the end, without another provider. */
  readonly takes: Takes;
  /** The wait of which a caller is told exactly. */
  readonly retryAfterMs?: number;
  /** @default STOP, of an answer */
  readonly finishReason?: string;
}

export interface LedgerRow {
  readonly state: "NOT_BILLED" | "UNKNOWN" | "SETTLED";
  readonly usage: "none" | "estimated" | "reported";
  /** What the record says besides. */
  readonly flag?: string;
}

export interface Takes {
  /** As the table says it. */
  readonly until: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** A provider that refused before it worked. */
export const NOT_BILLED: LedgerRow = { state: "NOT_BILLED", usage: "none" };
/** Nobody knows whether it worked: the input is the estimate. */
export const UNKNOWN: LedgerRow = { state: "UNKNOWN", usage: "estimated" };
/** It worked, and what came is counted. */
export const ESTIMATED: LedgerRow = { state: "SETTLED", usage: "estimated" };
export const REPORTED: LedgerRow = { state: "SETTLED", usage: "reported" };

/** Without a limit or a wait: several calls, and what they put on disk. */
const AT_ONCE_MS = 1_000;
/** What ends a limit may take to take effect. */
const LATE_MS = 250;
/** The deadline is kept more strictly. */
const DEADLINE_LATE_MS = 50;

export const AT_ONCE: Takes = { until: "at once", fromMs: 0, toMs: AT_ONCE_MS };
export const PROVIDER_TIMEOUT = limit("`PROVIDER_TIMEOUT`", LIMITS.providerTimeoutMs);
export const CONNECT_TIMEOUT = limit("`PROVIDER_CONNECT_TIMEOUT`", LIMITS.connectMs);
export const STREAM_IDLE_TIMEOUT = limit("`STREAM_IDLE_TIMEOUT`", LIMITS.streamIdleMs);

function limit(until: string, limitMs: number): Takes {
  // A timer may fire a moment before its time, by another clock.
  return { until, fromMs: limitMs - 5, toMs: limitMs + LATE_MS };
}

export function deadline(deadlineMs: number): Takes {
  return { until: "the deadline", fromMs: deadlineMs - 5, toMs: deadlineMs + DEADLINE_LATE_MS };
}

/** While another provider is left an attempt has half of the deadline. */
export function halfOf(deadlineMs: number): Takes {
  return { ...limit("after half of the deadline", deadlineMs / 2) };
}

/** A wait that the provider asks for, with the time until the answer after it. */
export function wait(until: string, fromMs: number, toMs: number): Takes {
  return { until, fromMs, toMs: toMs + AT_ONCE_MS };
}

/** Retries wait for 20 and 40 ms at most here, for 500 and 1,000 at most in production. */
export const BACKOFF: Takes = { until: "two backoffs", fromMs: 0, toMs: AT_ONCE_MS + 60 };
