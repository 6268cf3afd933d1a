import type { ErrorReason } from "../../core/error-table.ts";
import { GatewayError } from "../../core/errors.ts";
import { REQUEST_ID_HEADER } from "../anthropic/anthropic-api.ts";
import { toAnthropicError } from "../anthropic/anthropic-error.ts";
import { toHttpError } from "../error-map.ts";
import { commonResponse, requestIdOf } from "../node-exchange.ts";
import { toOpenAiError } from "../openai/openai-error.ts";
import { protocolOf } from "../rpc/protocol.ts";
import { rejectCall } from "../rpc/reject-call.ts";
import { releaseRequest } from "../rpc/write-response.ts";
import { spokenApi } from "../spoken-api.ts";
import { type EdgeRequest, type EdgeResponse, isHttp2, sendAnswer } from "./handler.ts";
import { isRpcPath, pathOf } from "./rpc-path.ts";

export interface Refusal {
  readonly reason: ErrorReason;
  /** Safe to show to the caller. */
  readonly message: string;
  /** Sent as `retry-after` and RetryInfo; unset: as the error table says. */
  readonly retryAfterMs?: number | undefined;
  /** For callers that do not speak gRPC, where HTTP has a status that says more than the error table's. */
  readonly httpStatus?: number | undefined;
  /** Headers to add. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Of an unread request body: what may be read and dropped to keep an HTTP/1 connection usable. */
const MAX_DROPPED_BODY_BYTES = 64 * 1024;

/**
 * Answers a request with an error, in the protocol in which it came, without reading its body: RPCs as the RPC layer
 * does, paths of the compatible APIs as they do, any other path with `{"error": {…}}` as the plain routes do. Does
 * nothing when an answer has begun.
 */
export function refuse(request: EdgeRequest, response: EdgeResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) return;
  if (!isHttp2(response) && !hasSmallBody(request)) response.shouldKeepAlive = false;
  const { httpStatus, headers = {} } = refusal;
  const error = new GatewayError(refusal.reason, refusal.message, { retryAfterMs: refusal.retryAfterMs });
  const common = commonResponse(response);
  if (isRpc(request)) {
    rejectCall(request, common, error, { headers, ...(httpStatus === undefined ? {} : { httpStatus }) });
    return;
  }
  const requestId = requestIdOf(request);
  const said = sayError(request, error, requestId);
  releaseRequest(request, common);
  sendAnswer(request, response, {
    status: httpStatus ?? said.status,
    headers: { "x-request-id": requestId, ...said.headers, ...headers, "content-type": "application/json" },
    body: JSON.stringify(said.body),
  });
}

/** In the words of whom the caller speaks to. */
function sayError({ url, headers }: EdgeRequest, error: GatewayError, requestId: string) {
  const api = spokenApi(pathOf(url), headers);
  switch (api) {
    case "openai":
      return toOpenAiError(error);
    case "anthropic": {
      const said = toAnthropicError(error, requestId);
      return { ...said, headers: { ...said.headers, [REQUEST_ID_HEADER]: requestId } };
    }
    case undefined:
      return toHttpError(error, requestId);
    default:
      return api satisfies never;
  }
}

/** Whether the request is for the RPC layer: by its path, or since it is framed as gRPC or a Connect stream. */
export function isRpc(request: EdgeRequest): boolean {
  if (isRpcPath(pathOf(request.url))) return true;
  if (request.method !== "POST") return false;
  const protocol = protocolOf(request.headers["content-type"]);
  return protocol !== undefined && protocol !== "connect_unary";
}

/**
 * A body of unstated length is as a rule a short message of gRPC-Web. Closing at once would reset the connection under
 * a caller that is still writing, who then never sees the answer; `releaseRequest` closes it if it does not end soon.
 */
function hasSmallBody({ headers }: EdgeRequest): boolean {
  return Number(headers["content-length"] ?? 0) <= MAX_DROPPED_BODY_BYTES;
}
