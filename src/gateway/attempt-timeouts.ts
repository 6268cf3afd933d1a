import type { CallTimeouts } from "../core/provider.ts";

export interface TimeoutPolicy {
  /** For an answer, and for the first token of a stream: `PROVIDER_TIMEOUT`. */
  readonly providerTimeoutMs: number;
  /** Between two events of a stream. */
  readonly streamIdleMs: number;
  /** A whole stream. */
  readonly streamTotalMs: number;
}

/** While another candidate is left, an attempt gets this share of what is left of the deadline, never all of it. */
const SHARE_WITH_FALLBACK = 0.5;

/** Added where the deadline itself is the limit, so that the deadline's own timer is the one that speaks. */
const BEHIND_DEADLINE_MS = 1_000;

/**
 * Splits one deadline over attempts. Until its first token a stream is treated like a unary call; afterwards there
 * is no fallback any more, so it may use all that is left, unless it may begin anew when it falls silent.
 */
export function attemptTimeouts(options: {
  readonly remainingMs: number;
  readonly fallbackLeft: boolean;
  readonly streamed: boolean;
  readonly policy: TimeoutPolicy;
  /** A stream that falls silent may begin anew elsewhere, for which some time has to be left. @default false */
  readonly recoverable?: boolean | undefined;
  /** How long the call may go on behind the deadline. @default 1,000: it is aborted there anyway */
  readonly behindDeadlineMs?: number | undefined;
}): CallTimeouts {
  const { remainingMs, fallbackLeft, streamed, policy, behindDeadlineMs = BEHIND_DEADLINE_MS } = options;
  const wholeMs = remainingMs + behindDeadlineMs;
  const shareMs = fallbackLeft ? remainingMs * SHARE_WITH_FALLBACK : wholeMs;
  const answerMs = Math.ceil(Math.min(policy.providerTimeoutMs, shareMs));
  if (!streamed) return { totalMs: answerMs, firstTokenMs: answerMs, idleMs: answerMs };
  return {
    totalMs: Math.ceil(Math.min(policy.streamTotalMs, wholeMs)),
    firstTokenMs: answerMs,
    idleMs: Math.ceil(Math.min(policy.streamIdleMs, options.recoverable ? shareMs : wholeMs)),
  };
}
