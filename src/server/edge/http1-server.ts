import { createServer as createHttpServer, type Server, type ServerOptions } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import type { Handler } from "./handler.ts";
import type { ServerLimits } from "./limits.ts";

/** What the edge presents to clients, and whom it lets in. PEM texts. */
export interface TlsOptions {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** Set: every client must present a certificate that this authority signed (mTLS). */
  readonly clientCa?: string | Buffer | undefined;
}

export interface Http1ServerOptions {
  readonly limits: ServerLimits;
  readonly tls: TlsOptions | undefined;
  readonly handler: Handler;
  readonly onConnectionError: (error: Error) => void;
}

/**
 * The HTTP/1 server. It is also the one that listens, since only then Node enforces its header and request timeouts
 * and can close idle connections.
 */
export function createHttp1Server({ limits, tls, handler, onConnectionError }: Http1ServerOptions): Server {
  const options: ServerOptions = {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
  };
  const server =
    tls === undefined
      ? createHttpServer(options, handler)
      : createHttpsServer(
          {
            ...options,
            cert: tls.cert,
            key: tls.key,
            minVersion: "TLSv1.2",
            ALPNProtocols: ["h2", "http/1.1"],
            handshakeTimeout: limits.tlsHandshakeTimeoutMs,
            ...(tls.clientCa === undefined
              ? {}
              : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
          },
          handler,
        );
  // Node drops headers above this number silently; one more than allowed lets the guard see and refuse them.
  server.maxHeadersCount = limits.maxHeaders + 1;
  server.maxConnections = limits.maxConnections;
  // Failed TLS handshakes come here as well.
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    onConnectionError(error);
    answerBrokenRequest(error, socket);
  });
  server.on("drop", () => onConnectionError(new Error("too many connections")));
  return server;
}

/** A request that no handler sees, since it could not be parsed or did not come in time. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  const status = brokenRequestStatus(error.code);
  // An answer that has begun must not be followed by a second one; Node keeps it on the socket.
  const answering = "_httpMessage" in socket && socket._httpMessage !== null;
  if (status === undefined || answering || !socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`, () => socket.destroy());
}

const BROKEN_REQUEST_STATUS: ReadonlyMap<string, string> = new Map([
  ["HPE_HEADER_OVERFLOW", "431 Request Header Fields Too Large"],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", "413 Payload Too Large"],
  ["ERR_HTTP_REQUEST_TIMEOUT", "408 Request Timeout"],
]);

/** Undefined for what is no failure of HTTP. */
function brokenRequestStatus(code = ""): string | undefined {
  return BROKEN_REQUEST_STATUS.get(code) ?? (code.startsWith("HPE_") ? "400 Bad Request" : undefined);
}
