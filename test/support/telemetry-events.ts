import type { AttemptIntent, AttemptOutcome, CallMethod } from "../../src/core/ledger.ts";
import type { CompletionEnd, RequestEnd, RequestStart } from "../../src/core/telemetry.ts";

/** A request, an attempt and their ends, as the gateway tells them to telemetry. */
export function start(changes: Partial<RequestStart> = {}): RequestStart {
  return {
    requestId: "request-1",
    rpcMethod: "llmgateway.v1.CompletionService/Complete",
    protocol: "grpc",
    traceparent: undefined,
    ...changes,
  };
}

export function attempt(
  changes: {
    readonly provider?: string;
    readonly model?: string;
    readonly ordinal?: number;
    readonly method?: CallMethod;
  } = {},
) {
  return {
    attemptId: "attempt-1",
    provider: "openai",
    model: "gpt-5-mini",
    ordinal: 1,
    method: "Complete" as CallMethod,
    ...changes,
  };
}

const INTENT: AttemptIntent = {
  attemptId: "attempt-1",
  requestId: "request-1",
  ordinal: 1,
  apiKeyId: "k_000000000001",
  provider: "openai",
  model: "gpt-5-mini",
  price: undefined,
  tags: {},
  endUser: undefined,
  streamed: false,
  occurredAt: new Date("2026-11-23T12:00:00.000Z"),
  estimatedTokensIn: 10,
};

/** A succeeded attempt with every kind of token, for 123.45 µUSD. */
export function outcome(changes: Partial<AttemptOutcome> = {}): AttemptOutcome {
  return {
    intent: INTENT,
    outcome: "succeeded",
    errorReason: undefined,
    usage: {
      tokensIn: 100,
      tokensOut: 50,
      uncachedTokensIn: 60,
      cacheReadTokensIn: 30,
      cacheWriteTokensIn: 10,
      textTokensOut: 45,
      reasoningTokensOut: 5,
    },
    usageSource: "reported",
    billingState: "settled",
    costPicoUsd: 123_450_000n,
    unitPrices: undefined,
    flags: [],
    latencyMs: 400,
    timeToFirstTokenMs: undefined,
    providerRequestId: "provider-request-1",
    responseModel: "gpt-5-mini-2026-08-01",
    ...changes,
  };
}

export function failedOutcome(changes: Partial<AttemptOutcome> = {}): AttemptOutcome {
  return outcome({
    outcome: "failed",
    errorReason: "PROVIDER_TIMEOUT",
    usage: undefined,
    usageSource: "none",
    billingState: "not_billed",
    costPicoUsd: 0n,
    responseModel: undefined,
    ...changes,
  });
}

export function completionEnd(changes: Partial<CompletionEnd> = {}): CompletionEnd {
  return {
    requestedModel: "fast",
    provider: "openai",
    model: "gpt-5-mini",
    attempts: 1,
    fellBack: false,
    streamed: false,
    replayed: false,
    tokensIn: 100,
    tokensOut: 50,
    costPicoUsd: 123_450_000n,
    providerWaitMs: 400,
    ...changes,
  };
}

export function end(changes: Partial<RequestEnd> = {}): RequestEnd {
  return { error: undefined, latencyMs: 402.5, completion: completionEnd(), ...changes };
}
