import type { Http2Session } from "node:http2";
import type { Socket } from "node:net";
import { closeWhenIdle, probe } from "./http2-session.ts";
import type { ServerLimits } from "./limits.ts";

/** The open HTTP/2 sessions of a listener. */
export interface Http2Sessions {
  add(session: Http2Session, socket: Socket): void;
  /** A stream was reset since its peer took nothing: the connection is destroyed unless its peer answers a PING. */
  readonly onStalledStream: (session: Http2Session) => void;
  /** A stream ended with bytes that were never sent. */
  readonly onDiscardedBytes: (session: Http2Session, bytes: number) => void;
  /** Whether a session runs on this socket. */
  has(socket: Socket): boolean;
  /**
   * Sends GOAWAY on every session, also on those to come. It names the last stream that is served: a client may send
   * anything later again elsewhere. (A first GOAWAY that refuses nothing, as RFC 9113 §6.8 suggests, cannot be had of
   * Node: after any GOAWAY it ignores new streams without a word.)
   */
  drain(): void;
}

interface OpenSession {
  readonly socket: Socket;
  probing: boolean;
  discardedBytes: number;
}

export function createHttp2Sessions(limits: ServerLimits): Http2Sessions {
  const open = new Map<Http2Session, OpenSession>();
  // Node goes on counting what a cancelled stream never sent as memory of its session, and in the end refuses every
  // new stream (seen with 26.10: after 290 streams cancelled with 34 kB unsent each). A session on its way there is
  // drained, so that the client makes a new connection.
  const maxDiscardedBytes = (limits.http2MaxSessionMegabytes * 1_000_000) / 2;
  const sockets = new WeakSet<Socket>();
  let draining = false;

  return {
    add(session, socket) {
      open.set(session, { socket, probing: false, discardedBytes: 0 });
      sockets.add(socket);
      session.once("close", () => open.delete(session));
      closeWhenIdle(
        { session, socket },
        { idleTimeoutMs: limits.http2IdleTimeoutMs, lingerMs: limits.headersTimeoutMs },
      );
      if (draining) session.close();
    },
    onStalledStream(session) {
      const entry = open.get(session);
      if (entry === undefined || entry.probing) return;
      entry.probing = true;
      probe(
        { session, socket: entry.socket },
        {
          timeoutMs: limits.headersTimeoutMs,
          onAnswer() {
            entry.probing = false;
          },
        },
      );
    },
    onDiscardedBytes(session, bytes) {
      const entry = open.get(session);
      if (entry === undefined) return;
      entry.discardedBytes += bytes;
      if (entry.discardedBytes > maxDiscardedBytes) session.close();
    },
    has(socket) {
      return sockets.has(socket);
    },
    drain() {
      draining = true;
      for (const session of open.keys()) session.close();
    },
  };
}
