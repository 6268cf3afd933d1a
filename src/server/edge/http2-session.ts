import type { Http2Session } from "node:http2";
import type { Socket } from "node:net";

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
