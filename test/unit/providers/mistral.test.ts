import { describeProvider } from "../../suites/provider-suite.ts";

describeProvider({
  profile: "mistral",
  asksForUsage: false,
  basePath: "/v1",
  model: "magistral-medium-2509",
  responseModel: "magistral-medium-2509",
  headers: {},
  requestId: "019a1b2c",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 176,
    cacheReadTokensIn: 1_024,
    cacheWriteTokensIn: undefined,
    textTokensOut: 310,
    reasoningTokensOut: undefined,
  },
  reasoning: "A greeting.",
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-capacity": { reason: "PROVIDER_RATE_LIMITED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
  },
});
