import type { CallMethod } from "../core/ledger.ts";

/**
 * The names of OpenTelemetry's conventions that the gateway uses, in this one place because they still move.
 * RPC: stable, semantic-conventions 1.45. GenAI: semantic-conventions-genai, in development.
 */
export const RPC = {
  systemName: "rpc.system.name",
  method: "rpc.method",
  statusCode: "rpc.status_code",
} as const;

export const GEN_AI = {
  operationName: "gen_ai.operation.name",
  providerName: "gen_ai.provider.name",
  requestModel: "gen_ai.request.model",
  responseModel: "gen_ai.response.model",
  timeToFirstChunk: "gen_ai.response.time_to_first_chunk",
  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  cacheReadInputTokens: "gen_ai.usage.cache_read.input_tokens",
  cacheWriteInputTokens: "gen_ai.usage.cache_write.input_tokens",
  reasoningOutputTokens: "gen_ai.usage.reasoning.output_tokens",
} as const;

export const ERROR_TYPE = "error.type";
export const SERVICE_NAME = "service.name";
export const SERVICE_VERSION = "service.version";

/** Names of the gateway's own. */
export const GATEWAY = {
  requestId: "llm_gateway.request_id",
  protocol: "llm_gateway.protocol",
  apiKeyId: "llm_gateway.api_key_id",
  requestedModel: "llm_gateway.requested_model",
  provider: "llm_gateway.provider",
  model: "llm_gateway.model",
  attempts: "llm_gateway.attempts",
  attemptId: "llm_gateway.attempt_id",
  ordinal: "llm_gateway.attempt.ordinal",
  streamed: "llm_gateway.streamed",
  /** Decimal text: a span attribute that is a number would be a float. */
  costUsd: "llm_gateway.cost_usd",
  billingState: "llm_gateway.billing_state",
  usageSource: "llm_gateway.usage_source",
  providerRequestId: "llm_gateway.provider_request_id",
  delayMs: "llm_gateway.delay_ms",
  reason: "llm_gateway.reason",
  fromProvider: "llm_gateway.from_provider",
  toProvider: "llm_gateway.to_provider",
  hedgeLost: "llm_gateway.hedge.lost",
  hedgeWon: "llm_gateway.hedge.won",
  quotaId: "llm_gateway.quota_id",
  replayOutcome: "llm_gateway.replay.outcome",
} as const;

/** Providers that the conventions have a name for; ours for the others. */
const PROVIDER_NAMES: ReadonlyMap<string, string> = new Map([
  ["azure", "azure.ai.openai"],
  ["azure-openai", "azure.ai.openai"],
  ["bedrock", "aws.bedrock"],
  ["gemini", "gcp.gemini"],
  ["mistral", "mistral_ai"],
  ["vertex", "gcp.vertex_ai"],
  ["xai", "x_ai"],
]);

export function genAiProviderName(provider: string): string {
  return PROVIDER_NAMES.get(provider) ?? provider;
}

/** What the conventions call a call of a model. */
export type GenAiOperation = "chat" | "embeddings";

export function genAiOperation(method: CallMethod): GenAiOperation {
  return method === "Embed" ? "embeddings" : "chat";
}

/** gRPC, gRPC-Web and Connect have a system in the conventions; plain HTTP has none. */
export function rpcSystemName(protocol: string): string | undefined {
  if (protocol === "grpc" || protocol === "grpc_web") return "grpc";
  return protocol === "connect" ? "connectrpc" : undefined;
}
