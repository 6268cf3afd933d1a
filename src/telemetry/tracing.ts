import type { AttemptOutcome } from "../core/ledger.ts";
import type { RequestEnd, RequestStart, RequestTelemetry } from "../core/telemetry.ts";
import { newTraceId, parseTraceparent } from "./trace-context.ts";

/** Where spans go. One implementation exports them, the other only has ids. */
export interface Tracing {
  startRequest(start: RequestStart): RequestSpan;
  /** Sends what is still waiting, for at most some seconds. Never rejects. */
  shutdown(): Promise<void>;
}

export type AttemptStart = Parameters<RequestTelemetry["attemptStarted"]>[0];

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export interface RequestSpan {
  readonly traceId: string;
  startAttempt(attempt: AttemptStart): AttemptSpan;
  event(name: string, attributes: SpanAttributes): void;
  /** A span for a step inside the gateway. Returns how to end it. */
  startStep(name: string): (error?: unknown) => void;
  end(end: RequestEnd, apiKeyId: string): void;
}

export interface AttemptSpan {
  readonly traceHeaders: Readonly<Record<string, string>>;
  firstToken(): void;
  end(outcome: AttemptOutcome): void;
}

const NO_STEP = (): void => {};
const NO_ATTEMPT_SPAN: AttemptSpan = { traceHeaders: {}, firstToken: () => {}, end: () => {} };
const NO_SPAN: Omit<RequestSpan, "traceId"> = {
  startAttempt: () => NO_ATTEMPT_SPAN,
  event: () => {},
  startStep: () => NO_STEP,
  end: () => {},
};

/** Nothing is exported: trace ids only, the caller's where it sent one, so that log lines can be joined. */
export function createIdTracing(): Tracing {
  return {
    startRequest: ({ traceparent }) => ({
      ...NO_SPAN,
      traceId: parseTraceparent(traceparent)?.traceId ?? newTraceId(),
    }),
    shutdown: () => Promise.resolve(),
  };
}
