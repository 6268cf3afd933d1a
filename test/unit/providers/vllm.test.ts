import { describeProvider } from "../../suites/provider-suite.ts";

describeProvider({
  profile: "vllm",
  basePath: "/v1",
  model: "meta-llama/Llama-3.3-70B-Instruct",
  responseModel: "meta-llama/Llama-3.3-70B-Instruct",
  headers: {},
  requestId: "7d1b-vllm",
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
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-server": { reason: "PROVIDER_ERROR" },
  },
});
