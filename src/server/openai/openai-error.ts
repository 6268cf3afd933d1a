import type { ErrorReason } from "../../core/error-table.ts";
import { GatewayError } from "../../core/errors.ts";
import type { CompatibleError } from "../compatible/compatible-call.ts";
import { retryHeaders } from "../compatible/retry-headers.ts";
import { safeText } from "../error-map.ts";

/** How OpenAI says an error. */
interface Wording {
  readonly status: number;
  readonly type: string;
  readonly code: string | null;
  /** The member that is at fault, where every error of the reason is about the same one. */
  readonly param?: string;
}

const INVALID = "invalid_request_error";
/** Stands for the member that holds what the model reads. */
const INPUT = "{input}";

/**
 * The reasons for which OpenAI has words of its own, so that its clients raise the right class; all others get the
 * status of the error table and the reason as code.
 */
const WORDINGS: Partial<Readonly<Record<ErrorReason, Wording>>> = {
  INVALID_REQUEST: { status: 400, type: INVALID, code: null },
  MESSAGE_TOO_LARGE: { status: 413, type: INVALID, code: "request_too_large" },
  UNAUTHENTICATED: { status: 401, type: INVALID, code: "invalid_api_key" },
  MODEL_NOT_ALLOWED: { status: 403, type: INVALID, code: "model_not_found", param: "model" },
  MODEL_NOT_FOUND: { status: 404, type: INVALID, code: "model_not_found", param: "model" },
  RATE_LIMITED: { status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" },
  OVERLOADED: { status: 503, type: "service_unavailable_error", code: "server_is_overloaded" },
  DEADLINE_EXCEEDED: { status: 504, type: "timeout_error", code: "deadline_exceeded" },
  PROVIDER_TIMEOUT: { status: 504, type: "timeout_error", code: "provider_timeout" },
  PROVIDER_RATE_LIMITED: { status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" },
  PROVIDER_QUOTA_EXHAUSTED: { status: 429, type: "insufficient_quota", code: "insufficient_quota" },
  PROVIDER_OVERLOADED: { status: 503, type: "service_unavailable_error", code: "server_is_overloaded" },
  PROVIDER_MODEL_NOT_FOUND: { status: 404, type: INVALID, code: "model_not_found", param: "model" },
  PROVIDER_INVALID_REQUEST: { status: 400, type: INVALID, code: null },
  CONTEXT_TOO_LONG: { status: 400, type: INVALID, code: "context_length_exceeded", param: INPUT },
  CONTENT_FILTERED: { status: 400, type: INVALID, code: "content_filter" },
};

/** The body of an error, or of the event that ends a stream with one. */
export interface OpenAiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** Status, headers and body of any error. `cause` never leaves. */
export interface OpenAiError extends CompatibleError {
  readonly body: OpenAiErrorBody;
}

/**
 * Any thrown value as OpenAI says it. What the provider said of the caller's mistake wins: its type, code and
 * parameter are the caller's own dialect. `inputMember` is what the API calls what the model reads.
 */
export function toOpenAiError(thrown: unknown, inputMember = "messages"): OpenAiError {
  const error = GatewayError.from(thrown);
  const wording = WORDINGS[error.reason] ?? usualWording(error);
  const param = wording.param === INPUT ? inputMember : wording.param;
  const { provider_code, provider_type, provider_param } = error.metadata;
  return {
    status: wording.status,
    headers: retryHeaders(error),
    body: {
      error: {
        message: safeText(error.message),
        type: provider_type ?? wording.type,
        param: provider_param ?? error.fieldViolations[0]?.field ?? param ?? null,
        code: provider_code ?? wording.code,
      },
    },
  };
}

function usualWording({ reason, row }: GatewayError): Wording {
  const type = row.httpStatus >= 500 ? "server_error" : INVALID;
  return { status: row.httpStatus, type, code: reason.toLowerCase() };
}
