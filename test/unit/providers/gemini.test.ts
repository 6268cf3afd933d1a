import { API_KEY, describeProvider } from "../../suites/provider-suite.ts";
import { geminiWire } from "../../support/wires/gemini-wire.ts";

describeProvider({
  profile: "gemini",
  wire: geminiWire,
  keyHeaders: { "x-goog-api-key": API_KEY },
  errorRequestId: undefined,
  basePath: "/v1beta",
  model: "gemini-2.5-flash",
  responseModel: "gemini-2.5-flash",
  headers: {},
  requestId: "mAitaLmkHPPl7M8Pvq6vyAE",
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
    "error-permission": { reason: "PROVIDER_AUTHENTICATION" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 1_250 },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-billing": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-timeout": { reason: "PROVIDER_ERROR" },
  },
});
