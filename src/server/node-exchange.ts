import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Stream } from "node:http2";
import { newId, REQUEST_ID_PATTERN } from "../core/ids.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
/** Of HTTP/1.1, or of HTTP/2 through Node's compatible class, which has all that is used of the other. */
export type NodeResponse = ServerResponse;

/** A plain Node handler, for HTTP/1.1 and HTTP/2. */
export type NodeHandler = (request: NodeRequest, response: ServerResponse | Http2ServerResponse) => void;

/** The two response classes share what is used here, but their overloads cannot be called through a union. */
export function commonResponse(response: ServerResponse | Http2ServerResponse): NodeResponse {
  return response as ServerResponse;
}

/** The stream of an HTTP/2 response; undefined for HTTP/1.1. */
export function http2StreamOf(response: NodeResponse): ServerHttp2Stream | undefined {
  return "stream" in response ? (response.stream as ServerHttp2Stream | undefined) : undefined;
}

/** The id in the header `x-request-id` if it is one, or a new one. */
export function requestIdOf(request: NodeRequest): string {
  const stated = request.headers["x-request-id"];
  return typeof stated === "string" && REQUEST_ID_PATTERN.test(stated) ? stated : newId();
}
