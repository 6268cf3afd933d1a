import { readFileSync } from "node:fs";
import { connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { type EdgeResponse, type Handler, isHttp2 } from "../../../../src/server/edge/handler.ts";
import { DEFAULT_SERVER_LIMITS, type ServerLimits } from "../../../../src/server/edge/limits.ts";
import { type Listener, type ListenerOptions, listen } from "../../../../src/server/edge/listener.ts";

/** The default limits with times that a test can wait for. */
export const SHORT_LIMITS: ServerLimits = {
  ...DEFAULT_SERVER_LIMITS,
  tlsHandshakeTimeoutMs: 400,
  firstRequestTimeoutMs: 400,
  headersTimeoutMs: 400,
  checkIntervalMs: 50,
};

export interface Edge extends Listener {
  readonly port: number;
  readonly errors: Error[];
}

/** Starts a listener on a free port; it is closed when the test ends. */
export async function startEdge(
  handler: Handler,
  options: Partial<Pick<ListenerOptions, "tls">> & { readonly limits?: Partial<ServerLimits> } = {},
): Promise<Edge> {
  const errors: Error[] = [];
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    tls: options.tls,
    limits: { ...SHORT_LIMITS, ...options.limits },
    handler,
    onConnectionError: (error) => errors.push(error),
  });
  onTestFinished(() => listener.close());
  return {
    address: listener.address,
    port: listener.address.port,
    errors,
    get connections() {
      return listener.connections;
    },
    drain: (graceMs) => listener.drain(graceMs),
    hangUp: () => listener.hangUp(),
    close: () => listener.close(),
  };
}

/** Answers every request at once with its HTTP version. */
export const answerVersion: Handler = (request, response) => {
  response.setHeader("content-type", "text/plain");
  response.statusCode = 200;
  if ("stream" in response) response.end(request.httpVersion);
  else response.end(request.httpVersion);
};

export function tlsFixture(name: string): Buffer {
  return readFileSync(new URL(`../../../fixtures/tls/${name}`, import.meta.url));
}

/** A TCP connection of which only the bytes matter. */
export interface RawClient {
  readonly socket: Socket;
  text(): string;
  /** Milliseconds from connecting to the close. */
  readonly closed: Promise<number>;
}

export function connectRaw(port: number): RawClient {
  const openedAt = performance.now();
  const socket = connect(port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  return {
    socket,
    text: () => Buffer.concat(chunks).toString(),
    closed: new Promise((resolve) => socket.once("close", () => resolve(performance.now() - openedAt))),
  };
}

export interface Http2Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
  readonly body: Buffer;
}

/** One request over its own HTTP/2 connection. */
export function fetchHttp2(
  origin: string,
  headers: OutgoingHttpHeaders,
  {
    body,
    ...options
  }: {
    readonly body?: Buffer;
    readonly ca?: Buffer;
    readonly cert?: Buffer;
    readonly key?: Buffer;
    readonly strictSingleValueFields?: boolean;
  } = {},
): Promise<Http2Answer> {
  const session = connectHttp2(origin, options);
  return new Promise<Http2Answer>((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request({ ":path": "/", ...headers }, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    let answerHeaders: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    stream.on("response", (received) => {
      answerHeaders = received;
    });
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("end", () => {
      if (answerHeaders[":status"] === undefined) reject(new Error("the connection ended without an answer"));
      resolve({
        status: Number(answerHeaders[":status"]),
        headers: answerHeaders,
        trailers,
        body: Buffer.concat(chunks),
      });
    });
  }).finally(() => session.destroy());
}

/** Waits until something holds; fails after `timeoutMs`. */
export async function until(holds: () => boolean, timeoutMs = 5_000): Promise<void> {
  const endsAt = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > endsAt) throw new Error("it never came to hold");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/**
 * `/large`: 64 MiB in one write; `/megabyte`: one MiB; `/chunks`: 64 chunks of 16 KiB, each when the one before is taken; else a short text.
 * Paths whose responses have closed go to `closed`.
 */
export function createLargeAnswer(closed: string[]): Handler {
  return (request, response) => {
    const path = request.url ?? "";
    response.once("close", () => closed.push(path));
    response.statusCode = 200;
    if (path === "/large" || path === "/megabyte") {
      writeChunk(response, Buffer.alloc((path === "/large" ? 64 : 1) * 1024 * 1024), () => response.end());
    } else if (path === "/chunks") {
      let sent = 0;
      const next = (): void => {
        if (sent === 64) response.end();
        else writeChunk(response, Buffer.alloc(16 * 1024), next);
        sent += 1;
      };
      next();
    } else {
      response.end();
    }
  };
}

function writeChunk(response: EdgeResponse, chunk: Buffer, taken: () => void): void {
  if (isHttp2(response)) response.write(chunk, taken);
  else response.write(chunk, taken);
}
