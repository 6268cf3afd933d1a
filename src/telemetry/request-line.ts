import type { GatewayError } from "../core/errors.ts";
import { formatUsd } from "../core/money.ts";
import type { RequestEnd, RequestStart } from "../core/telemetry.ts";
import type { LogFields } from "./log.ts";
import type { Redactor } from "./redact.ts";

const MAX_MODEL_CHARACTERS = 200;

/**
 * The one line of a request. It names each field that may be logged; whatever else a request carries (messages,
 * answers, headers, tags, secrets) has no way into it.
 */
export function toRequestLine(
  request: {
    readonly start: RequestStart;
    readonly traceId: string;
    readonly apiKeyId: string;
    readonly end: RequestEnd;
    /** Two candidates were asked at once. */
    readonly wasHedged?: boolean;
  },
  redactor: Redactor,
): LogFields {
  const { start, end } = request;
  const { error, completion } = end;
  return {
    request_id: start.requestId,
    trace_id: request.traceId,
    api_key_id: request.apiKeyId,
    method: start.rpcMethod,
    protocol: start.protocol,
    outcome: outcomeOf(error),
    latency_ms: rounded(end.latencyMs),
    ...(completion && {
      // The caller wrote this one: it is cut and searched for secrets.
      model: redactor.redact(completion.requestedModel.slice(0, MAX_MODEL_CHARACTERS)),
      provider: completion.provider,
      provider_model: completion.model,
      attempts: completion.attempts,
      fell_back: completion.fellBack,
      hedged: request.wasHedged ? true : undefined,
      streamed: completion.streamed,
      replayed: completion.replayed ? true : undefined,
      tokens_in: completion.tokensIn,
      tokens_out: completion.tokensOut,
      cost_usd: formatUsd(completion.costPicoUsd),
      provider_wait_ms: rounded(completion.providerWaitMs),
    }),
    ...(error && toErrorLine(error, redactor)),
  };
}

export type Outcome = "ok" | "error" | "cancelled";

export function outcomeOf(error: GatewayError | undefined): Outcome {
  if (!error) return "ok";
  return error.reason === "CANCELLED" ? "cancelled" : "error";
}

/** The message is for the caller and may quote what the caller sent; the log gets the reason and the cause. */
function toErrorLine(error: GatewayError, redactor: Redactor): LogFields {
  const cause = error.cause === undefined ? undefined : redactor.describe(error.cause);
  return {
    error_reason: error.reason,
    error_type: error.errorType,
    error_cause: cause && [cause.class, cause.message].filter(Boolean).join(": "),
    // A defect cannot be found without the place; other failures are not in our code.
    error_stack: error.reason === "INTERNAL" ? cause?.stack : undefined,
  };
}

const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;
