import type { ProviderErrorReason } from "../../core/provider-error.ts";
import { type ErrorRules, isErrorStatus, type StatedError } from "../http-error.ts";
import { type JsonObject, readArray, readObject, readText } from "../read-json.ts";
import { readStatedWaitMs } from "../stated-wait.ts";
import type { OpenAiChatProfile } from "./profile.ts";

/** `code` or `type` of an error body. The quota ones come with status 429 but do not pass by waiting. */
const REASON_BY_CODE: Readonly<Record<string, ProviderErrorReason>> = {
  insufficient_quota: "PROVIDER_QUOTA_EXHAUSTED",
  credit_balance_exhausted: "PROVIDER_QUOTA_EXHAUSTED",
  organization_spend_limit_exceeded: "PROVIDER_QUOTA_EXHAUSTED",
  project_spend_limit_exceeded: "PROVIDER_QUOTA_EXHAUSTED",
  organization_usage_limit_exceeded: "PROVIDER_QUOTA_EXHAUSTED",
  context_length_exceeded: "CONTEXT_TOO_LONG",
  content_filter: "CONTENT_FILTERED",
  content_policy_violation: "CONTENT_FILTERED",
  bio_policy: "CONTENT_FILTERED",
  misalignment_policy_violation: "CONTENT_FILTERED",
  model_not_found: "PROVIDER_MODEL_NOT_FOUND",
  model_not_supported: "PROVIDER_MODEL_NOT_FOUND",
  invalid_api_key: "PROVIDER_AUTHENTICATION",
  authentication_error: "PROVIDER_AUTHENTICATION",
  rate_limit_exceeded: "PROVIDER_RATE_LIMITED",
  rate_limit_error: "PROVIDER_RATE_LIMITED",
  slow_down: "PROVIDER_OVERLOADED",
  server_is_overloaded: "PROVIDER_OVERLOADED",
  service_unavailable_error: "PROVIDER_OVERLOADED",
  overloaded_error: "PROVIDER_OVERLOADED",
  invalid_request_error: "PROVIDER_INVALID_REQUEST",
};

export function createErrorRules(profile: OpenAiChatProfile, secrets: readonly string[]): ErrorRules {
  return {
    readError: readStatedError,
    reasonByCode: { ...REASON_BY_CODE, ...profile.errorCodes },
    readWaitMs: readStatedWaitMs,
    overloadedStatuses: profile.overloadedStatuses,
    contextTooLongPattern: profile.contextTooLongPattern,
    contentFilteredPattern: profile.contentFilteredPattern,
    secrets,
  };
}

/** `{error: {message, type, code}}`, `{error: "…"}`, `{message}` or `{detail}`: all of them occur. */
function readStatedError(body: JsonObject): StatedError {
  const error = readObject(body.error) ?? body;
  const { code, type } = error;
  const codes = [code, type].filter((value) => typeof value === "string");
  // A code that is a number is an HTTP status, with the partners of HuggingFace for example.
  const status = [code, error.status, error.http_status_code].find(isErrorStatus);
  const texts = [error.message, body.error, body.message, body.detail, readViolation(body.detail)];
  const text = texts.find((value) => typeof value === "string" && value !== "");
  return {
    codes,
    status,
    message: typeof text === "string" ? text : "",
    words: { code, type, param: error.param },
  };
}

/** FastAPI's `{"detail":[{"loc":["body","temperature"],"msg":"…"}]}`, without the input that it repeats. */
function readViolation(detail: unknown): string | undefined {
  const violation = readObject(readArray(detail)[0]);
  const message = readText(violation?.msg);
  return message && `${readArray(violation?.loc).join(".")}: ${message}`;
}
