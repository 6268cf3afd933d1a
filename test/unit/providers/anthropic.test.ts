import { API_KEY, describeProvider } from "../../suites/provider-suite.ts";
import { anthropicWire } from "../../support/wires/anthropic-wire.ts";

describeProvider({
  profile: "anthropic",
  wire: anthropicWire,
  keyHeaders: { "x-api-key": API_KEY, "anthropic-version": "2023-06-01" },
  basePath: "/v1",
  model: "claude-sonnet-4-5",
  responseModel: "claude-sonnet-4-5-20250929",
  headers: {},
  requestId: "req_011CSHoEeqs5C35K2UUqR7Fy",
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
    "error-permission": { reason: "PROVIDER_AUTHENTICATION" },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-spend-limit": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-content-filter": { reason: "CONTENT_FILTERED" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-too-large": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-timeout": { reason: "PROVIDER_ERROR" },
  },
});
