import { describeProvider } from "../../suites/provider-suite.ts";

describeProvider({
  profile: "openrouter",
  providerCostPicoUsd: 1_234_570_000n,
  basePath: "/api/v1",
  model: "anthropic/claude-sonnet-4.5",
  responseModel: "anthropic/claude-sonnet-4.5",
  headers: {},
  requestId: "gen-1795564800-abc",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 76,
    cacheReadTokensIn: 1_024,
    cacheWriteTokensIn: 100,
    textTokensOut: 54,
    reasoningTokensOut: 256,
  },
  reasoning: "A greeting.",
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-content-filter": { reason: "CONTENT_FILTERED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-timeout": { reason: "PROVIDER_ERROR" },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
  },
});
