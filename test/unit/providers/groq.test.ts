import { describeProvider } from "../../suites/provider-suite.ts";

describeProvider({
  profile: "groq",
  basePath: "/openai/v1",
  model: "openai/gpt-oss-120b",
  responseModel: "openai/gpt-oss-120b",
  headers: {},
  requestId: "req_01k",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 176,
    cacheReadTokensIn: 1_024,
    cacheWriteTokensIn: undefined,
    textTokensOut: 54,
    reasoningTokensOut: 256,
  },
  reasoning: "A greeting.",
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-capacity": { reason: "PROVIDER_OVERLOADED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
  },
});
