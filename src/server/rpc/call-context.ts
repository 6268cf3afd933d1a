import type { Principal } from "../../core/keys.ts";
import type { CompletionEnd, RequestTelemetry } from "../../core/telemetry.ts";

/** What every handler knows about its call. */
export interface CallContext {
  /** The caller's, or made by the gateway. */
  readonly requestId: string;
  /** On the monotonic clock; Infinity for calls that may stay open: health watches and reflection. */
  readonly deadlineAtMs: number;
  /** Aborted when the caller goes away or the deadline passes. */
  readonly signal: AbortSignal;
}

/** What handlers know about a caller that was authenticated and may make the call. */
export interface AuthenticatedCall extends CallContext {
  readonly principal: Principal;
  readonly telemetry: RequestTelemetry;
  /** Its messages are JSON, and not binary. */
  readonly inJson: boolean;
  /** Says what a completion came to, for the end of the request's telemetry. */
  completed(end: CompletionEnd): void;
}
