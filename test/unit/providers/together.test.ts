import { describeProvider } from "../../suites/provider-suite.ts";

describeProvider({
  profile: "together",
  basePath: "/v1",
  model: "meta-llama/Llama-3.3-70B-Instruct-Turbo",
  responseModel: "meta-llama/Llama-3.3-70B-Instruct-Turbo",
  headers: {},
  requestId: "oFc8-7a",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 1_200,
    cacheReadTokensIn: undefined,
    cacheWriteTokensIn: undefined,
    textTokensOut: 310,
    reasoningTokensOut: undefined,
  },
  reasoning: undefined,
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
  },
});
