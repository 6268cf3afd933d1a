import type { Exchange } from "./exchange.ts";
import type { Script } from "./script.ts";
import type { ErrorFields, Wire } from "./wire.ts";

const HTML_PAGE =
  "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>";

/** The body of a scripted error: what the script states, else what the status usually says. */
export function scriptedErrorBody(wire: Wire, status: number, script: Script): string {
  const { errorMessage: message, errorType: type, errorCode: code } = script;
  return script.errorBody ?? wire.errorBody({ status, message, type, code });
}

function send(exchange: Exchange, status: number, contentType: string, body: string, headers = {}): void {
  exchange.settle("refused");
  exchange.response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    [exchange.wire.requestIdHeader]: exchange.callId,
    ...headers,
  });
  exchange.response.end(body);
}

/** Refuses a call for what is wrong with it. */
export function refuse(exchange: Exchange, error: ErrorFields): void {
  send(exchange, error.status, "application/json", exchange.wire.errorBody(error));
}

function retryHeaders({ retryAfter, retryAfterMs, retryAfterDate }: Script): Record<string, string> {
  const headers: Record<string, string> = {};
  if (retryAfter !== undefined) headers["retry-after"] = String(retryAfter);
  if (retryAfterMs !== undefined) headers["retry-after-ms"] = String(retryAfterMs);
  if (typeof retryAfterDate === "string") headers["retry-after"] = retryAfterDate;
  else if (retryAfterDate !== undefined) {
    headers["retry-after"] = new Date(Date.now() + retryAfterDate * 1000).toUTCString();
  }
  return headers;
}

/** Answers the error status that the script asks for. */
export function answerError(exchange: Exchange, script: Script & { readonly status: number }): void {
  const body = scriptedErrorBody(exchange.wire, script.status, script);
  const contentType = script.contentType ?? (body.startsWith("<") ? "text/html" : "application/json");
  send(exchange, script.status, contentType, body, { ...retryHeaders(script), ...script.headers });
}

/** An HTML page with status 200, as a proxy in front of a provider answers. */
export function answerHtml(exchange: Exchange, script: Script): void {
  send(
    exchange,
    200,
    script.contentType ?? "text/html; charset=utf-8",
    script.errorBody ?? HTML_PAGE,
    script.headers,
  );
}

/** A redirect to another host, by default to one that cannot exist. */
export function answerRedirect(exchange: Exchange, script: Script): void {
  const location = script.redirectTo ?? "http://redirected.invalid/v1/chat/completions";
  send(exchange, 302, "text/plain", "", { location, ...script.headers });
}

/** Status 200 with an error object as the body. */
export function answerErrorAsSuccess(exchange: Exchange, script: Script): void {
  const body = scriptedErrorBody(exchange.wire, 500, script);
  send(exchange, 200, script.contentType ?? "application/json", body, script.headers);
}
