import type { IncomingHttpHeaders } from "node:http";

/** The deadline is the gateway's own business: Connect would make a second timer, and refuse what is capped here. */
const HIDDEN: ReadonlySet<string> = new Set(["grpc-timeout", "connect-timeout-ms"]);

/**
 * The request headers as Connect's handlers read them, without the copy into a `Headers` object for each call.
 * Only `get` exists; a copy made from it is empty, so `HandlerContext.requestHeader` must not be used: handlers
 * have the Node request.
 */
class RpcHeaders {
  readonly #headers: IncomingHttpHeaders;

  constructor(headers: IncomingHttpHeaders) {
    this.#headers = headers;
  }

  get(name: string): string | null {
    const key = name.toLowerCase();
    if (HIDDEN.has(key)) return null;
    const value = this.#headers[key];
    return value === undefined ? null : typeof value === "string" ? value : value.join(", ");
  }
}

/** See RpcHeaders: Connect asks for the type `Headers` and uses `get`. */
export function rpcHeaders(headers: IncomingHttpHeaders): Headers {
  return new RpcHeaders(headers) as unknown as Headers;
}
