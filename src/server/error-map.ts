import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "../../gen/es/google/rpc/error_details_pb.ts";
import { FailedCompletionSchema } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { ErrorReason } from "../core/error-table.ts";
import { GatewayError } from "../core/errors.ts";
import { CompletionError } from "../core/gateway.ts";
import { durationFromMs } from "./convert/time.ts";
import { failedCompletionToProto } from "./convert/usage-to-proto.ts";

/** The `domain` of every ErrorInfo. */
export const ERROR_DOMAIN = "llmgateway.v1";

/** What a caller is told to wait when the error is retryable and says nothing itself. */
export const DEFAULT_RETRY_AFTER_MS = 1000;

/**
 * Bounds of what an error carries. Status details travel in HTTP trailers, base64-encoded; common clients refuse
 * more than 8 KiB of them, and the error would then reach the caller as a transport failure.
 */
const MAX_VIOLATIONS = 16;
const MAX_TEXT_LENGTH = 300;
const MAX_ATTEMPTS = 16;

type Detail = { [D in string]: { desc: DescMessage; value: MessageInitShape<DescMessage> } }[string];

/**
 * Any thrown value as what Connect sends: the code of the error table, a message without secrets, and details.
 * Every error has an ErrorInfo; `cause` never leaves. What is not a GatewayError becomes INTERNAL "internal error".
 */
export function toConnectError(thrown: unknown, requestId: string): ConnectError {
  const error = GatewayError.from(thrown);
  const connectError = new ConnectError(safeText(error.message), rpcCode(error));
  connectError.details = details(error, requestId);
  return connectError;
}

/** The Connect and gRPC code of an error. */
export function rpcCode(error: GatewayError): Code {
  return codeFromString(error.row.code) ?? Code.Internal;
}

/** What the caller should wait before it sends the same again; undefined when that makes no sense. */
export function retryAfterMs(error: GatewayError): number | undefined {
  return error.retryAfterMs ?? (error.retryable ? DEFAULT_RETRY_AFTER_MS : undefined);
}

/** Response headers that go with an error, in whatever protocol: `x-request-id`, and `retry-after` in whole seconds, rounded up. */
export function errorHeaders(error: GatewayError, requestId: string): Record<string, string> {
  const waitMs = retryAfterMs(error);
  return waitMs === undefined
    ? { "x-request-id": requestId }
    : { "x-request-id": requestId, "retry-after": String(Math.ceil(waitMs / 1000)) };
}

/** An error as the plain JSON routes send it. */
export interface ErrorBody {
  readonly error: {
    readonly reason: string;
    readonly code: string;
    readonly message: string;
    readonly request_id: string;
    readonly field_violations: readonly {
      readonly field: string;
      readonly description: string;
      readonly reason?: string | undefined;
    }[];
  };
}

/** HTTP status, headers and body of an error on the plain JSON routes. */
export function toHttpError(
  thrown: unknown,
  requestId: string,
): { readonly status: number; readonly headers: Record<string, string>; readonly body: ErrorBody } {
  const error = GatewayError.from(thrown);
  return {
    status: error.row.httpStatus,
    headers: errorHeaders(error, requestId),
    body: {
      error: {
        reason: error.reason,
        code: error.row.code,
        message: safeText(error.message),
        request_id: requestId,
        field_violations: error.fieldViolations.slice(0, MAX_VIOLATIONS).map((violation) => ({
          field: safeText(violation.field),
          description: safeText(violation.description),
          ...(violation.reason === undefined ? {} : { reason: violation.reason }),
        })),
      },
    },
  };
}

/**
 * An error that Connect made while it read the request (envelope, compression, decoding, limits), as one of ours.
 * All that is wrong there is wrong with the request, also what Connect calls INTERNAL: a bad protobuf, a compressed
 * message without a compression, a cut gzip body.
 */
export function fromReadFailure(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  if (!(thrown instanceof ConnectError))
    return new GatewayError("INVALID_REQUEST", "the request could not be read", { cause: thrown });
  const known = READ_FAILURES.get(thrown.code);
  return known
    ? new GatewayError(known.reason, known.message ?? thrown.rawMessage, { cause: thrown })
    : new GatewayError("INVALID_REQUEST", thrown.rawMessage, { cause: thrown });
}

/** The codes of Connect's own errors that do not mean a malformed request. */
const READ_FAILURES: ReadonlyMap<Code, { readonly reason: ErrorReason; readonly message?: string }> = new Map(
  [
    [Code.ResourceExhausted, { reason: "MESSAGE_TOO_LARGE" }],
    [Code.Unimplemented, { reason: "UNIMPLEMENTED" }],
    [Code.DeadlineExceeded, { reason: "DEADLINE_EXCEEDED", message: "the deadline passed" }],
    [Code.Canceled, { reason: "CANCELLED", message: "the caller went away" }],
    [Code.Aborted, { reason: "CANCELLED", message: "the caller went away" }],
  ],
);

function details(error: GatewayError, requestId: string): Detail[] {
  const list: Detail[] = [
    detail(ErrorInfoSchema, {
      reason: error.reason,
      domain: ERROR_DOMAIN,
      metadata: { ...error.metadata, request_id: requestId },
    }),
    detail(RequestInfoSchema, { requestId }),
  ];
  const waitMs = retryAfterMs(error);
  if (waitMs !== undefined) list.push(detail(RetryInfoSchema, { retryDelay: durationFromMs(waitMs) }));
  if (error.fieldViolations.length > 0) {
    const fieldViolations = error.fieldViolations.slice(0, MAX_VIOLATIONS).map((violation) => ({
      field: safeText(violation.field),
      description: safeText(violation.description),
      reason: violation.reason ?? "",
    }));
    list.push(detail(BadRequestSchema, { fieldViolations }));
  }
  if (error.quotaViolations.length > 0) {
    const violations = error.quotaViolations.slice(0, MAX_VIOLATIONS).map((violation) => ({
      subject: violation.subject,
      description: safeText(violation.description),
      quotaId: violation.quotaId,
      quotaValue: BigInt(Math.trunc(violation.quotaValue)),
    }));
    list.push(detail(QuotaFailureSchema, { violations }));
  }
  if (error instanceof CompletionError) {
    const failed = failedCompletionToProto(requestId, error.attempts, error.replayed);
    list.push(detail(FailedCompletionSchema, { ...failed, attempts: failed.attempts.slice(-MAX_ATTEMPTS) }));
  }
  return list;
}

function detail<D extends DescMessage>(desc: D, value: MessageInitShape<D>): Detail {
  return { desc, value };
}

/**
 * Bounded, and without lone surrogates: those come back from a caller's own text in decoding errors, and
 * percent-encoding them for `grpc-message` would throw.
 */
export function safeText(text: string): string {
  return (text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}…` : text).toWellFormed();
}
