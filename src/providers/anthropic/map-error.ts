import type { ErrorRules, StatedError } from "../http-error.ts";
import { type JsonObject, readObject, readText } from "../read-json.ts";

/** The API has no codes for an input that is too long and for refused content: their messages are matched. */
export function createErrorRules(secrets: readonly string[]): ErrorRules {
  return {
    readError: readStatedError,
    reasonByCode: {
      enforced_spend_limit_reached: "PROVIDER_QUOTA_EXHAUSTED",
      contract_spend_limit_reached: "PROVIDER_QUOTA_EXHAUSTED",
      billing_error: "PROVIDER_QUOTA_EXHAUSTED",
      authentication_error: "PROVIDER_AUTHENTICATION",
      permission_error: "PROVIDER_AUTHENTICATION",
      not_found_error: "PROVIDER_MODEL_NOT_FOUND",
      rate_limit_error: "PROVIDER_RATE_LIMITED",
      overloaded_error: "PROVIDER_OVERLOADED",
      api_error: "PROVIDER_ERROR",
      timeout_error: "PROVIDER_ERROR",
      invalid_request_error: "PROVIDER_INVALID_REQUEST",
    },
    // The client then sends the whole conversation.
    missingReferenceCodes: new Set(["thread_not_found"]),
    overloadedStatuses: [],
    contextTooLongPattern: /prompt is too long|exceed(s)? (the )?context/i,
    contentFilteredPattern: /content filtering policy/i,
    secrets,
  };
}

/** `{type: "error", error: {type, message, details: {error_code}}, request_id}` */
function readStatedError(body: JsonObject): StatedError {
  const error = readObject(body.error) ?? body;
  const code = readText(readObject(error.details)?.error_code);
  const codes = [code, readText(error.type)];
  return {
    codes: codes.filter((code) => code !== undefined),
    status: undefined,
    words: { code, type: error.type, param: undefined },
    message: readText(error.message) ?? readText(body.error) ?? "",
  };
}
