import type { OutgoingHttpHeaders } from "node:http";
import type { ConnectError } from "@connectrpc/connect";
import {
  codeToHttpStatus,
  contentTypeUnaryJson,
  endStreamFlag,
  endStreamToJson,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { ErrorReason } from "../../core/error-table.ts";
import { GatewayError } from "../../core/errors.ts";
import { newId, REQUEST_ID_PATTERN } from "../../core/ids.ts";
import { errorHeaders, toConnectError, toHttpError } from "../error-map.ts";
import { protocolOf, type RpcProtocol } from "../rpc/protocol.ts";
import { type Answer, type EdgeRequest, type EdgeResponse, isHttp2, sendAnswer } from "./handler.ts";
import { isRpcPath, pathOf } from "./rpc-path.ts";

export interface Refusal {
  readonly reason: ErrorReason;
  /** Safe to show to the caller. */
  readonly message: string;
  /** Sent as `retry-after` and RetryInfo; unset: as the error table says. */
  readonly retryAfterMs?: number | undefined;
}

/** Of an unread request body: what Node may read and drop to keep an HTTP/1 connection usable. */
const MAX_DROPPED_BODY_BYTES = 64 * 1024;

/**
 * Answers a request with an error, in the protocol in which it came, without reading its body: gRPC and gRPC-Web
 * with trailers only, a Connect stream with its end message, a Connect unary call with its JSON error, any other
 * path with the JSON error of the plain routes. Does nothing when an answer has begun.
 */
export function refuse(request: EdgeRequest, response: EdgeResponse, refusal: Refusal): void {
  const error = new GatewayError(refusal.reason, refusal.message, { retryAfterMs: refusal.retryAfterMs });
  refuseWith(request, response, error, requestIdOf(request));
}

/** As `refuse`, for an error that exists already. */
export function refuseWith(
  request: EdgeRequest,
  response: EdgeResponse,
  error: GatewayError,
  requestId: string,
): void {
  if (!isHttp2(response) && !response.headersSent && !hasSmallBody(request)) {
    response.setHeader("connection", "close");
  }
  sendAnswer(request, response, refusalAnswer(request, error, requestId));
}

/** The caller's `x-request-id` if it is a valid one, else a new id. */
export function requestIdOf(request: EdgeRequest): string {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && REQUEST_ID_PATTERN.test(given) ? given : newId();
}

function refusalAnswer(request: EdgeRequest, error: GatewayError, requestId: string): Answer {
  const contentType = request.headers["content-type"];
  const protocol = request.method === "POST" ? protocolOf(contentType) : undefined;
  const isGrpc = protocol === "grpc" || protocol === "grpc_web";
  if (!isGrpc && !isRpcPath(pathOf(request.url))) {
    const plain = toHttpError(error, requestId);
    return {
      status: plain.status,
      headers: { ...plain.headers, "content-type": contentTypeUnaryJson },
      body: JSON.stringify(plain.body),
    };
  }
  return rpcAnswer(
    protocol ?? "connect_unary",
    contentType ?? "",
    toConnectError(error, requestId),
    errorHeaders(error, requestId),
  );
}

function rpcAnswer(
  protocol: RpcProtocol,
  contentType: string,
  error: ConnectError,
  headers: Record<string, string>,
): Answer {
  switch (protocol) {
    case "grpc":
    case "grpc_web": {
      const status = setTrailerStatus(new Headers(), error);
      // Connect merges the error's metadata into the trailers; here they are the headers already.
      return {
        status: 200,
        headers: { ...headers, ...Object.fromEntries(status), "content-type": contentType },
        body: "",
      };
    }
    case "connect_stream":
      return {
        status: 200,
        headers: { ...headers, "content-type": contentType },
        body: endOfStream(error),
      };
    case "connect_unary":
      return {
        status: codeToHttpStatus(error.code),
        headers: { ...headers, "content-type": contentTypeUnaryJson },
        body: errorToJsonBytes(error, undefined),
      };
    default:
      return protocol satisfies never;
  }
}

/** The one envelope of a Connect stream that fails before its first message: flags, length, JSON. */
function endOfStream(error: ConnectError): Uint8Array {
  const json = Buffer.from(JSON.stringify(endStreamToJson(new Headers(), error, undefined)));
  const envelope = Buffer.alloc(5 + json.length);
  envelope.writeUInt8(endStreamFlag, 0);
  envelope.writeUInt32BE(json.length, 1);
  json.copy(envelope, 5);
  return envelope;
}

function hasSmallBody(request: EdgeRequest): boolean {
  const headers: OutgoingHttpHeaders = request.headers;
  if (headers["transfer-encoding"] !== undefined) return false;
  return Number(headers["content-length"] ?? 0) <= MAX_DROPPED_BODY_BYTES;
}
