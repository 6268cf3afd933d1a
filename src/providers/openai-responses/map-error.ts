import type { ProviderErrorReason } from "../../core/provider-error.ts";
import type { ErrorRules } from "../http-error.ts";
import { createErrorRules } from "../openai-chat/map-error.ts";
import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { readObject, readText } from "../read-json.ts";

/**
 * Codes of a failed response (`ResponseError` of the openai package, 7.57.0) beyond those of chat completions. All others,
 * `server_error` and `vector_store_timeout` among them, are failures of the provider.
 */
const REASON_BY_CODE: Readonly<Record<string, ProviderErrorReason>> = {
  invalid_prompt: "PROVIDER_INVALID_REQUEST",
  data_residency_mismatch: "PROVIDER_INVALID_REQUEST",
  invalid_image: "PROVIDER_INVALID_REQUEST",
  invalid_image_format: "PROVIDER_INVALID_REQUEST",
  invalid_base64_image: "PROVIDER_INVALID_REQUEST",
  invalid_image_url: "PROVIDER_INVALID_REQUEST",
  invalid_image_mode: "PROVIDER_INVALID_REQUEST",
  image_too_large: "PROVIDER_INVALID_REQUEST",
  image_too_small: "PROVIDER_INVALID_REQUEST",
  image_parse_error: "PROVIDER_INVALID_REQUEST",
  image_file_too_large: "PROVIDER_INVALID_REQUEST",
  image_file_not_found: "PROVIDER_INVALID_REQUEST",
  unsupported_image_media_type: "PROVIDER_INVALID_REQUEST",
  empty_image_file: "PROVIDER_INVALID_REQUEST",
  failed_to_download_image: "PROVIDER_INVALID_REQUEST",
  image_content_policy_violation: "CONTENT_FILTERED",
};

/**
 * Errors are worded as those of chat completions; the event `error` has their members beside its own `type`. OpenRouter has fewer
 * codes than errors, and says in `error_type` which one is meant (openrouter.ai/docs/api_reference/responses/error-handling).
 */
export function createResponsesErrorRules(
  profile: OpenAiChatProfile,
  secrets: readonly string[],
): ErrorRules {
  const rules = createErrorRules(profile, secrets);
  return {
    ...rules,
    reasonByCode: { ...REASON_BY_CODE, ...rules.reasonByCode },
    // The caller's own reference, and no other provider's matter.
    missingReferenceCodes: new Set(["previous_response_not_found"]),
    readError(body, headers) {
      const isEvent = body.type === "error" && readObject(body.error) === undefined;
      const stated = rules.readError(isEvent ? { error: { ...body, type: undefined } } : body, headers);
      const errorType = readText(body.error_type);
      return errorType === undefined ? stated : { ...stated, codes: [errorType, ...stated.codes] };
    },
  };
}
