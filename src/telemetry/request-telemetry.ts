import { ERROR_TABLE, type ErrorReason } from "../core/error-table.ts";
import type { GatewayError } from "../core/errors.ts";
import type { RequestEnd, RequestStart, RequestTelemetry } from "../core/telemetry.ts";
import { createAttemptTelemetry } from "./attempt-telemetry.ts";
import type { LogWriter } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Redactor } from "./redact.ts";
import { outcomeOf, toRequestLine } from "./request-line.ts";
import { GATEWAY, type GenAiOperation } from "./semantic-conventions.ts";
import type { RequestSpan } from "./tracing.ts";

export interface RequestContext {
  readonly start: RequestStart;
  readonly span: RequestSpan;
  readonly metrics: Metrics;
  readonly log: LogWriter;
  readonly redactor: Redactor;
  readonly labels: Labels;
  readonly onFinished: () => void;
}

/** Label values of bounded number. */
export interface Labels {
  apiKey(apiKeyId: string): string;
  model(provider: string, model: string): string;
  method(rpcMethod: string): string;
}

/** Failures of candidates that were passed over: no attempt was made that could count them. */
const PASSED_OVER: ReadonlySet<ErrorReason> = new Set(["PROVIDER_CIRCUIT_OPEN", "PROVIDER_SKIPPED"]);

/** The events of one call of the gateway. */
export function createRequestTelemetry(context: RequestContext): RequestTelemetry {
  const { span, metrics, labels } = context;
  let apiKeyId = "";
  let apiKeyLabel = "none";
  let countedFailure: ErrorReason | undefined;
  let ended = false;
  // What the waiting for providers is more, or less, than the sum of their calls.
  let besidesCallsMs = 0;
  let wasHedged = false;
  const onFailed = (reason: ErrorReason): void => {
    countedFailure = reason;
  };
  return {
    traceId: span.traceId,
    authenticated(authenticatedId) {
      apiKeyId = authenticatedId;
      apiKeyLabel = authenticatedId === "" ? "none" : labels.apiKey(authenticatedId);
    },
    attemptStarted(attempt) {
      const modelLabel = labels.model(attempt.provider, attempt.model);
      return createAttemptTelemetry({
        metrics,
        span: span.startAttempt(attempt),
        attempt,
        apiKeyLabel,
        modelLabel,
        onFailed,
      });
    },
    retryScheduled({ provider, delayMs, reason }) {
      besidesCallsMs += delayMs;
      metrics.retries.inc({ provider, error_type: ERROR_TABLE[reason].errorType });
      span.event("retry", {
        [GATEWAY.provider]: provider,
        [GATEWAY.delayMs]: delayMs,
        [GATEWAY.reason]: reason,
      });
    },
    fellBack({ fromProvider, toProvider, reason }) {
      metrics.fallbacks.inc({
        api_key_id: apiKeyLabel,
        from_provider: fromProvider,
        to_provider: toProvider,
      });
      if (PASSED_OVER.has(reason)) {
        metrics.errors.inc({
          api_key_id: apiKeyLabel,
          provider: fromProvider,
          error_type: ERROR_TABLE[reason].errorType,
        });
      }
      span.event("fallback", {
        [GATEWAY.fromProvider]: fromProvider,
        [GATEWAY.toProvider]: toProvider,
        [GATEWAY.reason]: reason,
      });
    },
    hedged({ fromProvider, toProvider, won, overlapMs }) {
      wasHedged = true;
      besidesCallsMs -= overlapMs;
      metrics.hedges.inc({ from_provider: fromProvider, to_provider: toProvider, won: String(won) });
      span.event("hedge", {
        [GATEWAY.fromProvider]: fromProvider,
        [GATEWAY.toProvider]: toProvider,
        [GATEWAY.hedgeWon]: won,
      });
    },
    rateLimited(quotaId) {
      metrics.rateLimitRefusals.inc({ api_key_id: apiKeyLabel, quota: quotaId });
      span.event("rate_limited", { [GATEWAY.quotaId]: quotaId });
    },
    replayed(outcome) {
      metrics.replays.inc({ api_key_id: apiKeyLabel, outcome });
      span.event("replay", { [GATEWAY.replayOutcome]: outcome });
    },
    ledgerWriteStarted: () => span.startStep("ledger write"),
    finished(told) {
      // A place that ends a request twice is a defect, but not one to count a request twice for.
      if (ended) return;
      ended = true;
      const end = withWait(told, besidesCallsMs);
      countCall(context, end);
      const operation = operationOf(context.start, end);
      if (operation) countCompletion(context, { operation, end, apiKeyLabel, countedFailure });
      writeLine(context, { end, apiKeyId, wasHedged });
      span.end(end, apiKeyId);
      context.onFinished();
    },
  };
}

/** Backoff is waiting for a provider as well, not the gateway's own doing; what was waited for at once counts once. */
function withWait(end: RequestEnd, besidesCallsMs: number): RequestEnd {
  const { completion } = end;
  if (!completion || besidesCallsMs === 0) return end;
  return {
    ...end,
    completion: { ...completion, providerWaitMs: completion.providerWaitMs + besidesCallsMs },
  };
}

/** What a call of a model is, also one that was refused before anything was known of it; undefined for other calls. */
function operationOf({ rpcMethod }: RequestStart, { completion }: RequestEnd): GenAiOperation | undefined {
  return OPERATIONS.get(rpcMethod) ?? (completion && "chat");
}

const OPERATIONS: ReadonlyMap<string, GenAiOperation> = new Map([
  ["llmgateway.v1.CompletionService/Complete", "chat"],
  ["llmgateway.v1.CompletionService/StreamComplete", "chat"],
  ["POST /v1/chat/completions", "chat"],
  ["POST /v1/responses", "chat"],
  ["POST /v1/messages", "chat"],
  ["llmgateway.v1.EmbeddingService/Embed", "embeddings"],
  ["POST /v1/embeddings", "embeddings"],
]);

function countCall({ metrics, labels, start }: RequestContext, { error }: RequestEnd): void {
  metrics.sums.calls.of([labels.method(start.rpcMethod), error?.row.code ?? "ok"]).calls += 1;
}

function countCompletion(
  { metrics, span }: RequestContext,
  request: {
    readonly operation: GenAiOperation;
    readonly end: RequestEnd;
    readonly apiKeyLabel: string;
    /** The failure of the last attempt that failed: it was counted then. */
    readonly countedFailure: ErrorReason | undefined;
  },
): void {
  const { operation, end, apiKeyLabel, countedFailure } = request;
  const { error, completion, latencyMs } = end;
  const provider = completion?.provider ?? "none";
  metrics.sums.requests.of([apiKeyLabel, provider, outcomeOf(error)]).requests += 1;
  metrics.latency.observe({
    labels: { api_key_id: apiKeyLabel, provider, operation },
    value: latencyMs / 1000,
    exemplarLabels: { trace_id: span.traceId },
  });
  if (error && error.reason !== countedFailure) {
    metrics.errors.inc({ api_key_id: apiKeyLabel, provider, error_type: error.errorType });
  }
  if (completion && completion.attempts > 0) {
    metrics.overhead.observe(Math.max(0, latencyMs - completion.providerWaitMs) / 1000);
  }
}

function writeLine(
  { start, span, log, redactor }: RequestContext,
  request: { readonly end: RequestEnd; readonly apiKeyId: string; readonly wasHedged: boolean },
): void {
  const { end } = request;
  const line = toRequestLine({ start, traceId: span.traceId, ...request }, redactor);
  log.line(lineLevel(end.error), "request", line);
}

/** What is nobody's fault but the caller's is no warning. */
function lineLevel(error: GatewayError | undefined): "info" | "warn" | "error" {
  if (error?.reason === "INTERNAL") return "error";
  return error && error.row.httpStatus >= 500 ? "warn" : "info";
}
