/**
 * The one table of what can go wrong. `code` is the gRPC and Connect code, `httpStatus` what HTTP/JSON callers
 * and the plain JSON routes see, `retryable` whether the *caller* may send the same request again,
 * `errorType` the value of the metric label `error_type`. A test compares the README and the protos with it.
 */
export const ERROR_TABLE = {
  INVALID_REQUEST: row(
    "invalid_argument",
    400,
    false,
    "InvalidRequestError",
    "The request breaks the contract.",
  ),
  MESSAGE_TOO_LARGE: row(
    "resource_exhausted",
    429,
    false,
    "InvalidRequestError",
    "The message exceeds the size limit.",
  ),
  UNAUTHENTICATED: row("unauthenticated", 401, false, "AuthenticationError", "No valid API key was sent."),
  PERMISSION_DENIED: row(
    "permission_denied",
    403,
    false,
    "PermissionError",
    "The key lacks the role for this call.",
  ),
  MODEL_NOT_ALLOWED: row(
    "permission_denied",
    403,
    false,
    "PermissionError",
    "The key may not use this model.",
  ),
  MODEL_NOT_FOUND: row(
    "not_found",
    404,
    false,
    "ModelNotFoundError",
    "No provider is configured for this model.",
  ),
  NOT_FOUND: row("not_found", 404, false, "NotFoundError", "There is no such thing."),
  ALREADY_EXISTS: row("already_exists", 409, false, "ConflictError", "It exists already."),
  RATE_LIMITED: row("resource_exhausted", 429, true, "RateLimitError", "A limit of the API key is used up."),
  OVERLOADED: row("unavailable", 503, true, "OverloadedError", "The gateway is at its in-flight limit."),
  DRAINING: row("unavailable", 503, true, "OverloadedError", "The gateway is shutting down."),
  LEDGER_UNAVAILABLE: row("unavailable", 503, true, "LedgerError", "The ledger cannot take a record."),
  DEADLINE_EXCEEDED: row("deadline_exceeded", 504, false, "DeadlineExceededError", "The deadline passed."),
  CANCELLED: row("canceled", 499, false, "CancelledError", "The caller went away."),
  PROVIDER_TIMEOUT: row(
    "unavailable",
    503,
    true,
    "ProviderTimeoutError",
    "The provider did not answer in time.",
  ),
  PROVIDER_RATE_LIMITED: row(
    "unavailable",
    503,
    true,
    "ProviderRateLimitError",
    "The provider refused for its rate limit.",
  ),
  PROVIDER_OVERLOADED: row("unavailable", 503, true, "ProviderError", "The provider is overloaded."),
  PROVIDER_ERROR: row("unavailable", 503, true, "ProviderError", "The provider failed."),
  PROVIDER_UNREACHABLE: row("unavailable", 503, true, "ProviderError", "No connection to the provider."),
  PROVIDER_BAD_RESPONSE: row(
    "unavailable",
    503,
    true,
    "ProviderBadResponseError",
    "The provider's answer was not understood.",
  ),
  PROVIDER_STREAM_CUT: row(
    "unavailable",
    503,
    true,
    "ProviderStreamError",
    "The provider's stream ended early.",
  ),
  PROVIDER_CIRCUIT_OPEN: row(
    "unavailable",
    503,
    true,
    "ProviderCircuitOpenError",
    "The provider failed too often lately.",
  ),
  PROVIDER_SKIPPED: row(
    "unavailable",
    503,
    true,
    "ProviderSkippedError",
    "The provider is too slow for what is left of the deadline.",
  ),
  PROVIDER_AUTHENTICATION: row(
    "unavailable",
    503,
    false,
    "ProviderAuthenticationError",
    "The provider refused the gateway's credential.",
  ),
  PROVIDER_QUOTA_EXHAUSTED: row(
    "unavailable",
    503,
    false,
    "ProviderQuotaExhaustedError",
    "The gateway's account at the provider is out of quota.",
  ),
  PROVIDER_MODEL_NOT_FOUND: row(
    "not_found",
    404,
    false,
    "ProviderModelNotFoundError",
    "The provider does not know the model.",
  ),
  PROVIDER_INVALID_REQUEST: row(
    "invalid_argument",
    400,
    false,
    "ProviderInvalidRequestError",
    "The provider refused the request as invalid.",
  ),
  CONTEXT_TOO_LONG: row(
    "invalid_argument",
    400,
    false,
    "ContextTooLongError",
    "The input exceeds the model's context.",
  ),
  CONTENT_FILTERED: row(
    "failed_precondition",
    400,
    false,
    "ContentFilteredError",
    "The provider's content filter refused.",
  ),
  UNIMPLEMENTED: row("unimplemented", 501, false, "UnimplementedError", "The gateway does not do this."),
  INTERNAL: row("internal", 500, false, "InternalError", "A defect of the gateway."),
  REQUEST_ID_REUSED: row(
    "already_exists",
    409,
    false,
    "RequestIdReusedError",
    "Another call of this key has the same request id and another content.",
  ),
  REQUEST_OUTCOME_UNKNOWN: row(
    "aborted",
    409,
    false,
    "RequestOutcomeUnknownError",
    "What became of the earlier call with this request id is not known; it may have cost money.",
  ),
  REQUEST_ANSWER_NOT_KEPT: row(
    "aborted",
    409,
    false,
    "RequestAnswerNotKeptError",
    "The earlier call with this request id has ended, but its answer is not kept.",
  ),
} as const satisfies Readonly<Record<string, ErrorRow>>;

/** Stable, machine-readable cause of an error; `ErrorInfo.reason` on the wire. */
export type ErrorReason = keyof typeof ERROR_TABLE;

/** Connect's spelling of the gRPC status codes that the gateway uses. */
export type RpcCode =
  | "invalid_argument"
  | "resource_exhausted"
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "already_exists"
  | "aborted"
  | "unavailable"
  | "deadline_exceeded"
  | "canceled"
  | "failed_precondition"
  | "unimplemented"
  | "internal";

export interface ErrorRow {
  readonly code: RpcCode;
  readonly httpStatus: number;
  readonly retryable: boolean;
  readonly errorType: string;
  readonly description: string;
}

function row(
  code: RpcCode,
  httpStatus: number,
  retryable: boolean,
  errorType: string,
  description: string,
): ErrorRow {
  return { code, httpStatus, retryable, errorType, description };
}
