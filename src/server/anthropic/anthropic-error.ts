import type { ErrorReason } from "../../core/error-table.ts";
import { GatewayError } from "../../core/errors.ts";
import type { CompatibleError } from "../compatible/compatible-call.ts";
import { retryHeaders } from "../compatible/retry-headers.ts";
import { safeText } from "../error-map.ts";
import { THREAD } from "./messages-input.ts";

/** Anthropic's types of errors, and the status that each has. */
const STATUSES = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
} as const;

type AnthropicErrorType = keyof typeof STATUSES;

/** The reasons that a type says in full; all others keep the status of the error table. */
const TYPES: Partial<Readonly<Record<ErrorReason, AnthropicErrorType>>> = {
  INVALID_REQUEST: "invalid_request_error",
  MESSAGE_TOO_LARGE: "request_too_large",
  UNAUTHENTICATED: "authentication_error",
  PERMISSION_DENIED: "permission_error",
  MODEL_NOT_ALLOWED: "permission_error",
  MODEL_NOT_FOUND: "not_found_error",
  NOT_FOUND: "not_found_error",
  RATE_LIMITED: "rate_limit_error",
  OVERLOADED: "overloaded_error",
  DRAINING: "overloaded_error",
  DEADLINE_EXCEEDED: "timeout_error",
  PROVIDER_TIMEOUT: "timeout_error",
  PROVIDER_RATE_LIMITED: "rate_limit_error",
  PROVIDER_OVERLOADED: "overloaded_error",
  PROVIDER_QUOTA_EXHAUSTED: "billing_error",
  PROVIDER_MODEL_NOT_FOUND: "not_found_error",
  PROVIDER_INVALID_REQUEST: "invalid_request_error",
  CONTEXT_TOO_LONG: "invalid_request_error",
  CONTENT_FILTERED: "invalid_request_error",
  INTERNAL: "api_error",
};

/** The body of an error, or of the event that ends a stream with one. */
export interface AnthropicErrorBody {
  readonly type: "error";
  readonly error: {
    readonly type: AnthropicErrorType;
    readonly message: string;
    readonly details?: { readonly error_code: string } | undefined;
  };
  readonly request_id: string;
}

/** Status, headers and body of any error. `cause` never leaves. */
export interface AnthropicError extends CompatibleError {
  readonly body: AnthropicErrorBody;
}

/**
 * Any thrown value as Anthropic says it. What a provider of this dialect said of the caller's mistake wins: its type, if
 * it is one of those above, and its code.
 */
export function toAnthropicError(thrown: unknown, requestId: string): AnthropicError {
  const error = GatewayError.from(thrown);
  const { httpStatus } = error.row;
  const { type, code } = wordsOf(error);
  return {
    status: type ? STATUSES[type] : httpStatus,
    headers: retryHeaders(error),
    body: {
      type: "error",
      error: {
        type: type ?? (httpStatus >= 500 ? "api_error" : "invalid_request_error"),
        message: safeText(messageOf(error)),
        details: code === undefined ? undefined : { error_code: code },
      },
      request_id: requestId,
    },
  };
}

function wordsOf({ reason, metadata, fieldViolations }: GatewayError) {
  // Upon this the client sends the whole conversation, which any provider can be told.
  if (reason === "INVALID_REQUEST" && fieldViolations.some(({ field }) => field === THREAD))
    return { type: "not_found_error", code: "thread_not_found" } as const;
  const { provider_code: code, provider_type } = metadata;
  return { type: isErrorType(provider_type) ? provider_type : TYPES[reason], code };
}

/** Names the members at fault, for which the body has no place of its own. */
function messageOf({ message, fieldViolations }: GatewayError): string {
  const fields = fieldViolations.map(({ field }) => field).filter((field) => !message.includes(field));
  return fields.length === 0 ? message : `${message}: ${fields.join(", ")}`;
}

function isErrorType(type: string | undefined): type is AnthropicErrorType {
  return type !== undefined && Object.hasOwn(STATUSES, type);
}
