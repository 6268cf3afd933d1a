import { constants } from "node:http2";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { GatewayError } from "../../core/errors.ts";
import { http2StreamOf, type NodeRequest, type NodeResponse } from "../node-exchange.ts";
import type { RpcCall } from "./rpc-call.ts";

/** How long a caller that was answered before it had sent everything may take to send the rest. */
const MAX_LINGER_MS = 1_000;

/** Writes what a Connect handler answered. Resolves when all of it was handed to the socket, or the caller went away. */
export async function writeResponse(answer: UniversalServerResponse, call: RpcCall): Promise<void> {
  const { request, response } = call;
  releaseRequest(request, response);
  const chunks = answer.body?.[Symbol.asyncIterator]();
  // Headers go out after the first read, so that the handler could add to them.
  let chunk = await chunks?.next();
  if (response.destroyed) {
    await chunks?.return?.();
    return;
  }
  response.writeHead(answer.status, headersOf(answer.header));
  if (call.protocol === "connect_unary") {
    // One chunk: head and body in one write.
    response.end(chunk?.done === false ? chunk.value : undefined);
    return;
  }
  while (chunk && !chunk.done) {
    if (!response.write(chunk.value)) await drained(response);
    if (response.destroyed) {
      await chunks?.return?.();
      return;
    }
    chunk = await chunks?.next();
  }
  if (answer.trailer) response.addTrailers(headersOf(trailerWithDetails(answer.trailer, call)));
  response.end();
}

/** An error that Connect made after the handler's answer, e.g. one that cannot be encoded: it lacks the details. */
function trailerWithDetails(trailer: Headers, call: RpcCall): Headers {
  if (call.failure || trailer.get("grpc-status") === "0") return trailer;
  return setTrailerStatus(new Headers(), call.fail(new GatewayError("INTERNAL", "internal error")));
}

/** As Node takes them. */
export function headersOf(headers: Headers | undefined): Record<string, string> {
  const record: Record<string, string> = {};
  headers?.forEach((value, name) => {
    record[name] = value;
  });
  return record;
}

/** Resolves when the response takes more, or never will. */
export function drained(response: NodeResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

/**
 * Once answered, lets go of a request that was not read to its end: an HTTP/2 stream would stay half open until
 * the caller ends it, and hold up the shutdown.
 */
export function releaseRequest(request: NodeRequest, response: NodeResponse): void {
  const stream = http2StreamOf(response);
  if (!stream) {
    response.once("finish", () => {
      if (!request.complete) readToEnd(request);
    });
    return;
  }
  // A response over HTTP/2 says `finish` only when its stream is closed. Trailers are always asked for, after the body.
  stream.once("wantTrailers", () => {
    if (!request.complete) setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  });
}

/** Drops the rest of an HTTP/1 request, so that its connection can be used again; closes it when the rest does not come. */
function readToEnd(request: NodeRequest): void {
  const timer = setTimeout(() => request.socket.destroy(), MAX_LINGER_MS);
  request.once("close", () => clearTimeout(timer));
  request.once("end", () => clearTimeout(timer));
  request.resume();
}
