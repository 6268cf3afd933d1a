import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

/** A request of either protocol version. */
export type EdgeRequest = IncomingMessage | Http2ServerRequest;

/** Its response. */
export type EdgeResponse = ServerResponse | Http2ServerResponse;

/** A plain Node handler: the only thing that the edge and the RPC layer know of each other. */
export type Handler = (request: EdgeRequest, response: EdgeResponse) => void;

/** Response headers, lower-case. */
export type AnswerHeaders = Readonly<Record<string, string>>;

/** A complete answer with a body of known length. */
export interface Answer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: string | Uint8Array;
}

/** True for HTTP/2, and tells the compiler so. */
export function isHttp2(response: EdgeResponse): response is Http2ServerResponse {
  return "stream" in response;
}

/**
 * Writes a complete answer; to HEAD without the body. Does nothing when the caller is gone or an answer has begun.
 * Headers that were set on the response before (CORS, request id) are kept.
 */
export function sendAnswer(request: EdgeRequest, response: EdgeResponse, answer: Answer): void {
  if (response.headersSent || response.destroyed || response.writableEnded) return;
  for (const [name, value] of Object.entries(answer.headers)) {
    // CORS may have set one already; the answer depends on both.
    if (name === "vary") response.appendHeader(name, value);
    else response.setHeader(name, value);
  }
  const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
  if (answer.status !== 204 && answer.status !== 304) response.setHeader("content-length", body.byteLength);
  response.statusCode = answer.status;
  const withBody = request.method !== "HEAD" && body.byteLength > 0;
  if (isHttp2(response)) {
    if (withBody) response.end(body);
    else response.end();
    return;
  }
  if (withBody) response.end(body);
  else response.end();
}
