import { once } from "node:events";
import type { Server } from "node:http";
import type { Http2Server } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { systemClock } from "../../core/clock.ts";
import { type ConnectionTable, createConnectionTable } from "./connection-table.ts";
import { createExchangeWatch } from "./exchange-watch.ts";
import { type Handler, isHttp2 } from "./handler.ts";
import { createHttp1Server, type TlsOptions } from "./http1-server.ts";
import { createHttp2Server } from "./http2-server.ts";
import { createHttp2Sessions, type Http2Sessions } from "./http2-sessions.ts";
import type { ServerLimits } from "./limits.ts";
import { sniffProtocol } from "./protocol-sniffer.ts";
import { refuse } from "./refusal.ts";
import { findHeaderFault } from "./request-guard.ts";

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Set: TLS with ALPN. Unset: HTTP/1.1 and HTTP/2 with prior knowledge (h2c) in cleartext. */
  readonly tls?: TlsOptions | undefined;
  readonly limits: ServerLimits;
  readonly handler: Handler;
  /** Failures of connections, not of requests: broken handshakes, malformed requests, floods, resets. */
  readonly onConnectionError?: ((error: Error) => void) | undefined;
}

export interface Listener {
  readonly address: { readonly host: string; readonly port: number };
  /** Open TCP connections. */
  readonly connections: number;
  /**
   * Stops accepting, sends GOAWAY on every HTTP/2 connection and `connection: close` on HTTP/1, lets running requests
   * finish for `graceMs`, then hangs up and destroys what is left. Resolves when no connection is open.
   */
  drain(graceMs: number): Promise<void>;
  /**
   * Stops accepting and ends every connection by FIN, whatever runs on it. Resolves when no connection is open, at most
   * `HANG_UP_MS` later: what the peers have not closed by then is left open.
   */
  hangUp(): Promise<void>;
  /** Destroys every connection at once. Resolves when none is open. */
  close(): Promise<void>;
}

/**
 * How long peers have to close what was ended. A socket that is closed, by us or by the end of the process, while bytes
 * of its peer wait to be read, resets the connection. Clients that were told GOAWAY answer it and so leave such bytes,
 * and Node's take a reset after it for streams that ended well (`socketOnError` in its lib/internal/http2/core.js, 26.10):
 * grpc-js names that INTERNAL, but an end UNAVAILABLE.
 */
const HANG_UP_MS = 250;

/**
 * Serves HTTP/1.1 and HTTP/2 on one port, within `limits`.
 * @throws Error when the port cannot be bound or the certificates are not usable
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { limits, tls } = options;
  const onConnectionError = options.onConnectionError ?? (() => undefined);
  const connections = createConnectionTable();
  const sessions = createHttp2Sessions(limits);
  const exchanges = createExchangeWatch({ limits, clock: systemClock, ...sessions });

  const handler: Handler = (request, response) => {
    if (!isHttp2(response)) connections.established(request.socket);
    exchanges.add(request, response);
    const fault = findHeaderFault(request, limits);
    if (fault === undefined) options.handler(request, response);
    else refuse(request, response, fault);
  };

  const http1 = createHttp1Server({ limits, tls, handler, onConnectionError });
  const http2 = createHttp2Server({ limits, handler, onConnectionError });
  routeConnections({ http1, http2, connections, sessions, limits, encrypted: tls !== undefined });

  const address = await bind(http1, options).catch((error: unknown) => {
    exchanges.stop();
    throw error;
  });
  // The server is closed a little before the last socket says so.
  const closed = once(http1, "close").then(async () => {
    await connections.whenEmpty();
    exchanges.stop();
  });

  async function hangUp(): Promise<void> {
    if (http1.listening) http1.close();
    connections.endAll();
    await within(HANG_UP_MS, closed);
  }

  async function close(): Promise<void> {
    if (http1.listening) http1.close();
    connections.destroyAll();
    await closed;
  }

  return {
    address,
    get connections() {
      return connections.size;
    },
    async drain(graceMs) {
      exchanges.closeHttp1AfterAnswers();
      sessions.drain();
      if (http1.listening) http1.close();
      connections.destroyPending((socket) => sessions.has(socket));
      await within(graceMs, closed);
      await hangUp();
      await close();
    },
    hangUp,
    close,
  };
}

/** Resolves with the promise, or without it when the time is over. */
async function within(timeoutMs: number, promise: Promise<void>): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = setTimeout(timeout.resolve, timeoutMs);
  await Promise.race([promise, timeout.promise]);
  clearTimeout(timer);
}

/** Hands every connection to the server of its protocol. */
function routeConnections(route: {
  readonly http1: Server;
  readonly http2: Http2Server;
  readonly connections: ConnectionTable;
  readonly sessions: Http2Sessions;
  readonly limits: ServerLimits;
  readonly encrypted: boolean;
}): void {
  const { http1, http2, connections, sessions, limits, encrypted } = route;
  const serveHttp1 = takeOverConnections(http1, encrypted ? "secureConnection" : "connection");

  function serveHttp2(socket: Socket): void {
    // The HTTP/1 server keeps half-closed sockets open; a session whose peer has gone must end.
    socket.allowHalfOpen = false;
    http2.once("session", (session) => {
      sessions.add(session, socket);
      session.once("remoteSettings", () => connections.established(socket));
    });
    http2.emit("connection", socket);
  }

  http1.on("connection", (socket: Socket) => {
    connections.opened(socket);
    // A reset before a protocol took over; later the servers report errors themselves.
    socket.on("error", () => socket.destroy());
    if (encrypted) return;
    connections.startDeadline(socket, limits.firstRequestTimeoutMs);
    sniffProtocol(socket, (protocol) => (protocol === "http2" ? serveHttp2(socket) : serveHttp1(socket)));
  });
  http1.on("secureConnection", (socket: TLSSocket) => {
    connections.startDeadline(socket, limits.firstRequestTimeoutMs);
    if (socket.alpnProtocol === "h2") serveHttp2(socket);
    else serveHttp1(socket);
  });
}

/**
 * Takes Node's own listener for new connections off the server and returns it, so that only sockets that speak
 * HTTP/1 reach it.
 */
function takeOverConnections(
  server: Server,
  event: "connection" | "secureConnection",
): (socket: Socket) => void {
  const listeners = server.listeners(event);
  server.removeAllListeners(event);
  return (socket) => {
    for (const listener of listeners) listener.call(server, socket);
  };
}

async function bind(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Listener["address"]> {
  server.listen({ host, port });
  await once(server, "listening");
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the server has no TCP address");
  return { host: bound.address, port: bound.port };
}
