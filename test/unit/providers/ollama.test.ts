import { describeProvider } from "../../suites/provider-suite.ts";

describeProvider({
  profile: "ollama",
  basePath: "/v1",
  model: "llama3.3:70b",
  responseModel: "llama3.3:70b",
  headers: {},
  requestId: undefined,
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 1_200,
    cacheReadTokensIn: undefined,
    cacheWriteTokensIn: undefined,
    textTokensOut: 310,
    reasoningTokensOut: undefined,
  },
  reasoning: "A greeting.",
  errors: {
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
  },
});
