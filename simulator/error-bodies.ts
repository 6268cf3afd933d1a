import type { PersonalityName } from "./personalities.ts";
import type { Script } from "./script.ts";

export interface ErrorFields {
  readonly message: string;
  readonly type: string;
  readonly code?: string | null | undefined;
  readonly param?: string | null | undefined;
}

/** The error body of the OpenAI API. */
export function openaiErrorBody({ message, type, code, param }: ErrorFields): string {
  return JSON.stringify({ error: { message, type, param: param ?? null, code: code ?? null } });
}

const ERRORS_BY_STATUS: ReadonlyMap<number, ErrorFields> = new Map(
  Object.entries({
    400: { message: "Invalid request.", type: "invalid_request_error" },
    401: { message: "Incorrect API key provided.", type: "invalid_request_error", code: "invalid_api_key" },
    402: { message: "Insufficient Balance", type: "unknown_error", code: "invalid_request_error" },
    403: { message: "You are not allowed to use this model.", type: "invalid_request_error" },
    404: { message: "The model does not exist.", type: "invalid_request_error", code: "model_not_found" },
    422: { message: "Invalid parameters.", type: "invalid_request_error" },
    429: { message: "Rate limit reached.", type: "rate_limit_error", code: "rate_limit_exceeded" },
    500: { message: "The server had an error.", type: "server_error" },
    503: {
      message: "The server is overloaded.",
      type: "service_unavailable_error",
      code: "server_is_overloaded",
    },
  }).map(([status, fields]) => [Number(status), fields]),
);

/** The error fields of a script: what it states, else what the status usually says. */
function scriptedError(status: number, script: Script): ErrorFields {
  const usual = ERRORS_BY_STATUS.get(status) ?? {
    message: `Simulated status ${status}.`,
    type: "server_error",
  };
  return {
    message: script.errorMessage ?? usual.message,
    type: script.errorType ?? usual.type,
    code: script.errorCode ?? usual.code,
  };
}

/**
 * A scripted error as the personality words it: HuggingFace answers `{"error":"…"}`, unless the script states a
 * code or type and so asks for the object form that some of its partners use.
 */
export function scriptedErrorBody(personality: PersonalityName, status: number, script: Script): string {
  if (script.errorBody !== undefined) return script.errorBody;
  const fields = scriptedError(status, script);
  if (personality === "huggingface" && script.errorCode === undefined && script.errorType === undefined) {
    return JSON.stringify({ error: fields.message });
  }
  return openaiErrorBody(fields);
}
