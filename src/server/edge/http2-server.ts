import { createServer, type Http2Server, Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Handler } from "./handler.ts";
import type { ServerLimits } from "./limits.ts";

/** Counts what became of its writes: Node shows no other sign of progress of a single stream. */
export class TrackedHttp2Response extends Http2ServerResponse {
  /** Writes that the connection has taken whole. */
  flushedWrites = 0;
  /** Length of the writes that were given up, at least in part, since the stream was cancelled. */
  discardedLength = 0;

  override write(chunk: string | Uint8Array, callback?: WriteCallback): boolean;
  override write(chunk: string | Uint8Array, encoding: BufferEncoding, callback?: WriteCallback): boolean;
  override write(
    chunk: string | Uint8Array,
    encodingOrCallback?: BufferEncoding | WriteCallback,
    callback?: WriteCallback,
  ): boolean {
    const encoding = typeof encodingOrCallback === "string" ? encodingOrCallback : "utf8";
    const flushed = typeof encodingOrCallback === "function" ? encodingOrCallback : callback;
    return super.write(chunk, encoding, (error) => {
      if (error || this.stream.destroyed) this.discardedLength += chunk.length;
      else this.flushedWrites += 1;
      flushed?.(error);
    });
  }
}

type WriteCallback = (error: Error) => void;

export interface Http2ServerOptions {
  readonly limits: ServerLimits;
  readonly handler: Handler;
  readonly onConnectionError: (error: Error) => void;
}

/**
 * The HTTP/2 server. It never listens: it is given sockets by `emit("connection", socket)`, cleartext or TLS. Node's
 * own guards against floods (rapid reset, PING, SETTINGS, CONTINUATION, invalid frames) stay on.
 */
export function createHttp2Server(options: Http2ServerOptions): Http2Server {
  const { limits, handler, onConnectionError } = options;
  const server = createServer(
    {
      Http2ServerRequest,
      Http2ServerResponse: TrackedHttp2Response,
      maxSessionMemory: limits.http2MaxSessionMegabytes,
      maxSettings: limits.http2MaxSettings,
      maxOutstandingPings: limits.http2MaxOutstandingPings,
      maxSessionInvalidFrames: limits.http2MaxInvalidFrames,
      maxSessionRejectedStreams: limits.http2MaxRejectedStreams,
      streamResetBurst: limits.http2StreamResetBurst,
      streamResetRate: limits.http2StreamResetRate,
      // Four pseudo headers, and one more so that the guard can answer what is just above the limit.
      maxHeaderListPairs: limits.maxHeaders + 5,
      settings: {
        headerTableSize: limits.http2HeaderTableBytes,
        enablePush: false,
        initialWindowSize: limits.http2StreamWindowBytes,
        maxConcurrentStreams: limits.http2MaxConcurrentStreams,
        maxFrameSize: limits.http2MaxFrameBytes,
        maxHeaderListSize: limits.maxHeaderBytes,
      },
    },
    handler,
  );
  server.on("session", (session) => {
    session.setLocalWindowSize(limits.http2ConnectionWindowBytes);
  });
  server.on("sessionError", onConnectionError);
  return server;
}
