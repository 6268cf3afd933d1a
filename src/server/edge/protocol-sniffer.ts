import type { Socket } from "node:net";

/** What a cleartext connection speaks. */
export type SniffedProtocol = "http1" | "http2";

// The HTTP/2 preface begins with a method that HTTP/1 must never use (RFC 9113 §3.4), so four bytes decide.
const PREFACE_START = Buffer.from("PRI ");

/**
 * Finds out what the peer speaks, without taking anything from the socket: what was read is put back before
 * `onProtocol` is called. A socket that ends before it is decided is destroyed. Sets no timer: the caller does.
 */
export function sniffProtocol(socket: Socket, onProtocol: (protocol: SniffedProtocol) => void): void {
  // Kept here and not put back at once: an unshift makes the socket readable again, which would spin.
  let seen: Buffer = Buffer.alloc(0);

  function stop(): void {
    socket.off("readable", onReadable);
    socket.off("end", onEnd);
  }

  function onEnd(): void {
    stop();
    socket.destroy();
  }

  function onReadable(): void {
    const chunk: unknown = socket.read();
    if (!Buffer.isBuffer(chunk)) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, PREFACE_START.length);
    const matches = seen.compare(PREFACE_START, 0, compared, 0, compared) === 0;
    if (matches && compared < PREFACE_START.length) return;
    stop();
    socket.unshift(seen);
    onProtocol(matches ? "http2" : "http1");
  }

  socket.on("readable", onReadable);
  socket.on("end", onEnd);
}
