import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { RpcCode } from "../core/error-table.ts";
import { type AttemptOutcome, HEDGE_LOST } from "../core/ledger.ts";
import { formatUsd } from "../core/money.ts";
import type { RequestEnd, RequestStart } from "../core/telemetry.ts";
import {
  ERROR_TYPE,
  GATEWAY,
  GEN_AI,
  genAiOperation,
  genAiProviderName,
  RPC,
  rpcSystemName,
  SERVICE_NAME,
  SERVICE_VERSION,
} from "./semantic-conventions.ts";
import { parseTraceparent } from "./trace-context.ts";
import type { AttemptSpan, AttemptStart, RequestSpan, Tracing } from "./tracing.ts";

export interface OtlpOptions {
  /** Base URL of an OTLP/HTTP receiver; `/v1/traces` is added to it. */
  readonly endpoint: string;
  /** Default `http/protobuf`. */
  readonly protocol?: "http/protobuf" | "http/json" | undefined;
  /** Sent with every export, e.g. a credential of the receiver. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly serviceName: string;
  readonly version: string;
  /** Share of the traces that begin here, 0 to 1; a caller's trace is kept or dropped as the caller says. */
  readonly sampleRatio: number;
}

const SHUTDOWN_TIMEOUT_MS = 2_000;

/** Codes that are the server's fault, by the RPC conventions; all others leave a server span without an error. */
const SERVER_FAULTS: ReadonlySet<RpcCode> = new Set([
  "deadline_exceeded",
  "unimplemented",
  "internal",
  "unavailable",
]);

/**
 * Exports spans by OTLP/HTTP, in batches and with a bounded queue. Parents are passed explicitly: nothing global is
 * registered and no context is carried along asynchronous calls. Loading this module costs some 150 ms, so that it
 * is imported only when an endpoint is configured.
 */
export function createOtlpTracing(options: OtlpOptions): Tracing {
  const { endpoint, headers, protocol = "http/protobuf", serviceName, version, sampleRatio } = options;
  const Exporter = protocol === "http/json" ? JsonExporter : ProtobufExporter;
  const exporter = new Exporter({
    url: `${endpoint.replace(/\/+$/, "")}/v1/traces`,
    ...(headers && { headers: { ...headers } }),
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ [SERVICE_NAME]: serviceName, [SERVICE_VERSION]: version }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer("llm-gateway", version);
  return {
    startRequest: (start) => startRequest(tracer, start),
    async shutdown() {
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, SHUTDOWN_TIMEOUT_MS);
      });
      // A receiver that is gone must not keep the process from ending.
      await Promise.race([provider.shutdown().catch(() => undefined), timeout]);
      clearTimeout(timer);
    },
  };
}

function startRequest(
  tracer: Tracer,
  { requestId, rpcMethod, protocol, traceparent }: RequestStart,
): RequestSpan {
  const system = rpcSystemName(protocol);
  const attributes: Attributes = {
    [GATEWAY.requestId]: requestId,
    [GATEWAY.protocol]: protocol,
    [RPC.method]: rpcMethod,
  };
  if (system) attributes[RPC.systemName] = system;
  const span = tracer.startSpan(rpcMethod, { kind: SpanKind.SERVER, attributes }, contextOf(traceparent));
  const context = trace.setSpan(ROOT_CONTEXT, span);
  return {
    traceId: span.spanContext().traceId,
    startAttempt: (attempt) => startAttempt({ tracer, context, requestId, attempt }),
    event: (name, eventAttributes) => {
      span.addEvent(name, { ...eventAttributes });
    },
    startStep: (name) => {
      const step = tracer.startSpan(name, { attributes: { [GATEWAY.requestId]: requestId } }, context);
      return (error) => {
        if (error !== undefined) step.setStatus({ code: SpanStatusCode.ERROR });
        step.end();
      };
    },
    end: (end, apiKeyId) => endRequest(span, { end, apiKeyId, system }),
  };
}

/** The caller's span as a parent; a caller without one starts a new trace here. */
function contextOf(traceparent: string | undefined): Context {
  const caller = parseTraceparent(traceparent);
  if (!caller) return ROOT_CONTEXT;
  const { traceId, spanId, sampled } = caller;
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

function endRequest(
  span: Span,
  request: { readonly end: RequestEnd; readonly apiKeyId: string; readonly system: string | undefined },
): void {
  const { error, completion } = request.end;
  if (request.apiKeyId) span.setAttribute(GATEWAY.apiKeyId, request.apiKeyId);
  if (request.system === "grpc") span.setAttribute(RPC.statusCode, error ? grpcStatus(error.row.code) : "OK");
  else if (error) span.setAttribute(RPC.statusCode, error.row.code);
  if (completion) {
    span.setAttributes({
      [GATEWAY.requestedModel]: completion.requestedModel,
      [GATEWAY.attempts]: completion.attempts,
      [GATEWAY.streamed]: completion.streamed,
      [GATEWAY.costUsd]: formatUsd(completion.costPicoUsd),
    });
    if (completion.provider) span.setAttribute(GATEWAY.provider, completion.provider);
    if (completion.model) span.setAttribute(GATEWAY.model, completion.model);
  }
  if (error) {
    span.setAttribute(ERROR_TYPE, error.reason);
    if (SERVER_FAULTS.has(error.row.code)) span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

/** gRPC spells it with two l. */
function grpcStatus(code: RpcCode): string {
  return code === "canceled" ? "CANCELLED" : code.toUpperCase();
}

function startAttempt(options: {
  readonly tracer: Tracer;
  readonly context: Context;
  readonly requestId: string;
  readonly attempt: AttemptStart;
}): AttemptSpan {
  const { attemptId, provider, model, ordinal, method } = options.attempt;
  const operation = genAiOperation(method);
  const span = options.tracer.startSpan(
    `${operation} ${model}`,
    {
      kind: SpanKind.CLIENT,
      attributes: {
        [GATEWAY.requestId]: options.requestId,
        [GATEWAY.attemptId]: attemptId,
        [GATEWAY.ordinal]: ordinal,
        [GATEWAY.streamed]: method === "StreamComplete",
        [GEN_AI.operationName]: operation,
        [GEN_AI.providerName]: genAiProviderName(provider),
        [GEN_AI.requestModel]: model,
      },
    },
    options.context,
  );
  return {
    traceHeaders: { traceparent: formatTraceparent(span.spanContext()) },
    firstToken: () => {
      span.addEvent("first_token");
    },
    end: (outcome) => endAttempt(span, outcome),
  };
}

function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}

function endAttempt(span: Span, outcome: AttemptOutcome): void {
  const { usage, timeToFirstTokenMs, costPicoUsd, errorReason } = outcome;
  const attributes: Attributes = {
    [GATEWAY.billingState]: outcome.billingState,
    [GATEWAY.usageSource]: outcome.usageSource,
  };
  const set = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) attributes[name] = value;
  };
  set(GEN_AI.responseModel, outcome.responseModel);
  set(GEN_AI.inputTokens, usage?.tokensIn);
  set(GEN_AI.outputTokens, usage?.tokensOut);
  set(GEN_AI.cacheReadInputTokens, usage?.cacheReadTokensIn);
  set(GEN_AI.cacheWriteInputTokens, usage?.cacheWriteTokensIn);
  set(GEN_AI.reasoningOutputTokens, usage?.reasoningTokensOut);
  set(GEN_AI.timeToFirstChunk, timeToFirstTokenMs === undefined ? undefined : timeToFirstTokenMs / 1000);
  set(GATEWAY.costUsd, costPicoUsd === undefined ? undefined : formatUsd(costPicoUsd));
  set(GATEWAY.providerRequestId, outcome.providerRequestId);
  // Whoever lost a race has not failed.
  if (outcome.flags.includes(HEDGE_LOST)) attributes[GATEWAY.hedgeLost] = true;
  else if (errorReason) {
    attributes[ERROR_TYPE] = errorReason;
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.setAttributes(attributes);
  span.end();
}
