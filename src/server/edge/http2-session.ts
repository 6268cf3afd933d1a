import { constants, type Http2Session } from "node:http2";
import type { Socket } from "node:net";

/** The stream id of a GOAWAY that refuses nothing yet (RFC 9113 §6.8). */
const LAST_POSSIBLE_STREAM = 2 ** 31 - 1;

/** A session and the socket that it runs on; the session's own view of the socket cannot destroy it. */
export interface SessionConnection {
  readonly session: Http2Session;
  readonly socket: Socket;
}

/** Ends a connection by GOAWAY once it had no stream for `idleTimeoutMs`; one that then lingers is destroyed. */
export function closeWhenIdle(
  { session, socket }: SessionConnection,
  { idleTimeoutMs, lingerMs }: { readonly idleTimeoutMs: number; readonly lingerMs: number },
): void {
  let streams = 0;
  let elapsedUnderCall = false;

  function onIdle(): void {
    if (streams > 0) {
      elapsedUnderCall = true;
      return;
    }
    session.close();
    destroyLater(socket, lingerMs);
  }

  session.on("stream", (stream) => {
    streams += 1;
    stream.once("close", () => {
      streams -= 1;
      if (streams > 0 || !elapsedUnderCall || session.destroyed) return;
      elapsedUnderCall = false;
      session.setTimeout(idleTimeoutMs);
    });
  });
  // Any frame restarts the timer, so it may also end under a call that waits for its provider.
  session.on("timeout", onIdle);
  session.setTimeout(idleTimeoutMs);
}

/**
 * Drains a session: first a GOAWAY that only asks the peer to open no more streams, then, when a PING has come back
 * and thus every stream sent before is known, the final one. A peer loses no call to the race between the two.
 * Streams that are open end by themselves.
 */
export function drainSession(session: Http2Session, pingTimeoutMs: number): void {
  if (session.destroyed || session.closed) return;
  const finish = (): void => {
    clearTimeout(timer);
    if (!session.destroyed) session.close();
  };
  const timer = setTimeout(finish, pingTimeoutMs);
  session.goaway(constants.NGHTTP2_NO_ERROR, LAST_POSSIBLE_STREAM);
  if (!session.ping(finish)) finish();
}

/** Destroys the connection unless its peer answers a PING in time. */
export function probe(
  { session, socket }: SessionConnection,
  { timeoutMs, onAnswer }: { readonly timeoutMs: number; readonly onAnswer: () => void },
): void {
  const cancel = destroyLater(socket, timeoutMs);
  // A session that is closing sends no PING any more; then the time alone decides.
  if (session.destroyed || session.closed) return;
  session.ping((error) => {
    if (error !== null) return;
    cancel();
    onAnswer();
  });
}

function destroyLater(socket: Socket, delayMs: number): () => void {
  const timer = setTimeout(() => socket.destroy(), delayMs);
  const cancel = (): void => clearTimeout(timer);
  socket.once("close", cancel);
  return cancel;
}
