import { encodeEnvelope } from "@connectrpc/connect/protocol";
import {
  createEndStreamSerialization,
  endStreamFlag,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import type { GatewayError } from "../../core/errors.ts";
import { errorHeaders, toConnectError } from "../error-map.ts";
import { type NodeRequest, type NodeResponse, requestIdOf } from "../node-exchange.ts";
import { protocolOf } from "./protocol.ts";
import { releaseRequest } from "./write-response.ts";

export interface RejectOptions {
  /** The id that the caller is told; by default that of the header `x-request-id`, or a new one. */
  readonly requestId?: string;
  /** The HTTP status for callers that do not speak gRPC, where HTTP has one that says more than the error table's. */
  readonly httpStatus?: number;
  /** Headers to add. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Answers a request with an error, in the protocol that its content type names, with all details; plain HTTP gets
 * the JSON error of the Connect protocol. For calls that Connect never sees: unknown methods, wrong content types,
 * and refusals at the door.
 */
export function rejectCall(
  request: NodeRequest,
  response: NodeResponse,
  error: GatewayError,
  options: RejectOptions = {},
): void {
  const requestId = options.requestId ?? requestIdOf(request);
  const connectError = toConnectError(error, requestId);
  const headers = { ...errorHeaders(error, requestId), ...options.headers };
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  const contentType = request.headers["content-type"];
  releaseRequest(request, response);
  switch (request.method === "POST" ? protocolOf(contentType) : undefined) {
    case "grpc": {
      response.writeHead(200, { "content-type": contentType ?? "" });
      const trailer = setTrailerStatus(new Headers(), connectError);
      response.addTrailers(Object.fromEntries(trailer));
      response.end();
      return;
    }
    case "grpc_web": {
      response.writeHead(200, { "content-type": contentType ?? "" });
      const trailer = setTrailerStatus(new Headers(), connectError);
      response.end(encodeEnvelope(trailerFlag, trailerSerialize(trailer)));
      return;
    }
    case "connect_stream": {
      response.writeHead(200, { "content-type": contentType ?? "" });
      const end = createEndStreamSerialization(undefined).serialize({
        metadata: new Headers(),
        error: connectError,
      });
      response.end(encodeEnvelope(endStreamFlag, end));
      return;
    }
    case "connect_unary":
    case undefined: {
      const body = errorToJsonBytes(connectError, undefined);
      response.writeHead(options.httpStatus ?? error.row.httpStatus, {
        "content-type": "application/json",
        "content-length": body.byteLength,
      });
      response.end(request.method === "HEAD" ? undefined : body);
    }
  }
}
