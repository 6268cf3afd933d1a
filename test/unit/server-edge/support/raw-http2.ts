import { connect, type Socket } from "node:net";

/** A hand-made HTTP/2 peer, for what a well-behaved client library cannot be made to do. */
export interface RawHttp2 {
  readonly socket: Socket;
  /** Every frame received so far. */
  readonly frames: Frame[];
  send(type: FrameType, flags: number, streamId: number, payload?: Buffer): void;
  /** Resolves with the first frame that fits, received already or later; rejects when the socket closes first. */
  frame(matches: (frame: Frame) => boolean): Promise<Frame>;
  /** Resolves when the connection is closed, with the milliseconds since it was opened. */
  readonly closed: Promise<number>;
}

export const FRAME_TYPE = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export type FrameType = (typeof FRAME_TYPE)[keyof typeof FRAME_TYPE];

export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export function encodeFrame(
  type: number,
  flags: number,
  streamId: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK: literal header fields without indexing and without Huffman coding (RFC 7541 §6.2.2). */
export function encodeHeaders(headers: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    headers.flatMap(([name, value]) => [Buffer.from([0]), encodeText(name), encodeText(value)]),
  );
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const prefix = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) prefix.push((rest % 128) + 128);
  prefix.push(rest);
  return Buffer.concat([Buffer.from(prefix), bytes]);
}

export const GET_HEADERS: readonly (readonly [string, string])[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "localhost"],
  [":path", "/"],
];

export interface RawHttp2Options {
  /** Payload of the SETTINGS frame that follows the preface; undefined sends none of both. */
  readonly settings?: Buffer | undefined;
  /** Stops reading after the connection is up. */
  readonly reads?: boolean;
}

/** Connects, sends the preface and SETTINGS, and collects frames. */
export function connectRawHttp2(port: number, { settings, reads = true }: RawHttp2Options = {}): RawHttp2 {
  const openedAt = performance.now();
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const frames: Frame[] = [];
  const waiting: { matches: (frame: Frame) => boolean; resolve: (frame: Frame) => void }[] = [];
  const closed = new Promise<number>((resolve) =>
    socket.once("close", () => resolve(performance.now() - openedAt)),
  );
  let pending: Buffer = Buffer.alloc(0);
  if (reads) {
    socket.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 9) {
        const length = pending.readUIntBE(0, 3);
        if (pending.length < 9 + length) return;
        const frame: Frame = {
          type: pending.readUInt8(3),
          flags: pending.readUInt8(4),
          streamId: pending.readUInt32BE(5),
          payload: pending.subarray(9, 9 + length),
        };
        pending = pending.subarray(9 + length);
        frames.push(frame);
        for (const waiter of waiting.splice(0)) {
          if (waiter.matches(frame)) waiter.resolve(frame);
          else waiting.push(waiter);
        }
      }
    });
  } else {
    socket.pause();
  }
  socket.write(PREFACE);
  socket.write(encodeFrame(FRAME_TYPE.SETTINGS, 0, 0, settings));
  return {
    socket,
    frames,
    closed,
    send(type, flags, streamId, payload) {
      if (!socket.destroyed) socket.write(encodeFrame(type, flags, streamId, payload));
    },
    frame(matches) {
      const found = frames.find(matches);
      if (found !== undefined) return Promise.resolve(found);
      return new Promise((resolve, reject) => {
        waiting.push({ matches, resolve });
        void closed.then(() => reject(new Error("closed before the frame came")));
      });
    },
  };
}
