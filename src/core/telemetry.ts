import type { ErrorReason } from "./error-table.ts";
import type { GatewayError } from "./errors.ts";
import type { AttemptOutcome, CallMethod } from "./ledger.ts";
import type { PicoUsd } from "./money.ts";

/**
 * What the rest of the gateway tells telemetry: one call per business event, from which the log line, the metrics
 * and the span all come, so that they cannot drift.
 */
export interface Telemetry {
  /** A call arrived. The span starts here, continuing the caller's trace if it sent one. */
  requestStarted(start: RequestStart): RequestTelemetry;
  breakerChanged(change: {
    readonly provider: string;
    readonly model: string;
    readonly state: BreakerState;
  }): void;
  /** A write that failed and is tried again. */
  ledgerWriteFailed(store: LedgerStore, error: unknown): void;
}

/** Where the ledger writes: to the journal first, and from there to the database. */
export type LedgerStore = "journal" | "database";
export type BreakerState = "closed" | "open" | "half_open";

export interface RequestStart {
  readonly requestId: string;
  /** Fully qualified, e.g. `llmgateway.v1.CompletionService/Complete`. */
  readonly rpcMethod: string;
  /** `grpc`, `grpc_web`, `connect` or `http`. */
  readonly protocol: string;
  /** The caller's W3C `traceparent`, if it sent one; a malformed one is ignored. */
  readonly traceparent: string | undefined;
}

export interface RequestTelemetry {
  /** 32 hex digits; exists also when nothing is exported. */
  readonly traceId: string;
  /** Known once the key was checked; `""` before. */
  authenticated(apiKeyId: string): void;
  attemptStarted(attempt: {
    readonly attemptId: string;
    readonly provider: string;
    readonly model: string;
    readonly ordinal: number;
    readonly method: CallMethod;
  }): AttemptTelemetry;
  retryScheduled(retry: {
    readonly provider: string;
    readonly model: string;
    readonly delayMs: number;
    readonly reason: ErrorReason;
  }): void;
  fellBack(fallback: {
    readonly fromProvider: string;
    readonly toProvider: string;
    readonly reason: ErrorReason;
  }): void;
  /** The next candidate was asked beside one that took too long; told when both are over. */
  hedged(hedge: {
    readonly fromProvider: string;
    readonly toProvider: string;
    /** The next one was faster. */
    readonly won: boolean;
    /** How long both were waited for at once. */
    readonly overlapMs: number;
  }): void;
  rateLimited(quotaId: string): void;
  /** The call was made before: its caller gets what became of it, and no provider is called. */
  replayed(outcome: ReplayOutcome): void;
  /** The wait until everything about the request is durable begins. Returns what to call at its end. */
  ledgerWriteStarted(): (error?: unknown) => void;
  /** Ends the request: log line, counters, span. Exactly once. */
  finished(end: RequestEnd): void;
}

/** `answered`: with the answer. `failed`: with the failure. `refused`: it is not known or not kept, or was another call. */
export type ReplayOutcome = "answered" | "failed" | "refused";

export interface AttemptTelemetry {
  /** W3C headers to send to the provider; empty when tracing is off. */
  readonly traceHeaders: Readonly<Record<string, string>>;
  firstToken(timeToFirstTokenMs: number): void;
  /** It is over for its request. `toBeDrained`: what it costs is not final, but told by `drained`. */
  finished(outcome: AttemptOutcome, toBeDrained?: boolean): void;
  /** After such a `finished`, once: what it came to to read the call to its end, and what is on the ledger now. */
  drained(end: DrainEnd, inForce: AttemptOutcome): void;
}

/**
 * What it came to to read a call to its end for its usage, although its request was over.
 * - `reported`: the provider stated the usage. - `estimated`: it did not; all that came was counted.
 * - `not_billed`: it refused the call after all. - `closed`: a bound of drains, or the process's grace, came before the
 * end; what had come was counted. - `no_room`: not begun, since as many were under way as may be, or the process ends.
 * - `failed`: what it came to could not be put on the ledger, where the first estimate stays.
 */
export type DrainEnd = "reported" | "estimated" | "not_billed" | "closed" | "no_room" | "failed";

export interface RequestEnd {
  readonly error: GatewayError | undefined;
  readonly latencyMs: number;
  /** Of a completion, or of embeddings; undefined for all other calls. */
  readonly completion: CompletionEnd | undefined;
}

/** What a call of a model came to. */
export interface CompletionEnd {
  /** The model as the caller named it. */
  readonly requestedModel: string;
  /** Of the last attempt; undefined when there was none. */
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly attempts: number;
  readonly fellBack: boolean;
  readonly streamed: boolean;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly costPicoUsd: PicoUsd;
  /** The answer or failure is an earlier call's, whose attempts are not counted again here. */
  readonly replayed: boolean;
  /** Sum of the attempts' latencies. With the backoff between them, and less what overlaps, not the gateway's own doing. */
  readonly providerWaitMs: number;
}
