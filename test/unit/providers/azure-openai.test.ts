import { API_KEY, describeProvider } from "../../suites/provider-suite.ts";

describeProvider({
  profile: "azure-openai",
  keyHeaders: { "api-key": API_KEY },
  basePath: "/openai/v1",
  model: "my-deployment",
  responseModel: "gpt-5-mini-2025-08-07",
  headers: {},
  requestId: "5c0e7a1d-1",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 176,
    cacheReadTokensIn: 1_024,
    cacheWriteTokensIn: undefined,
    textTokensOut: 54,
    reasoningTokensOut: 256,
  },
  reasoning: undefined,
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 1_250 },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-content-filter": { reason: "CONTENT_FILTERED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
  },
});
