import { crc32 } from "node:zlib";
import { type Framing, type FramingHandler, type FramingKind, MAX_EVENT_LENGTH } from "../framing.ts";
import { parseJson, readObject } from "../read-json.ts";

/** Total length, length of the headers, and the checksum of both; each of four bytes. */
const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
/** The type of a header's value that is text; the only one that is needed. */
const TEXT_HEADER = 7;
/** Bytes of a header's value by its type; undefined where the value states its own length. */
const HEADER_VALUE_BYTES: readonly (number | undefined)[] = [0, 0, 1, 2, 4, 8, undefined, undefined, 8, 16];

/**
 * AWS's event streams, `application/vnd.amazon.eventstream`: binary messages of prelude, headers, payload and checksum
 * (https://smithy.io/2.0/aws/amazon-eventstream.html). The tests write them with the AWS SDK's own codec.
 */
export const awsEventFraming: FramingKind = {
  encoding: "latin1",
  create: (handler) => new AwsEventFraming(handler),
};

class AwsEventFraming implements Framing {
  readonly #handler: FramingHandler;
  #rest: Buffer = Buffer.alloc(0);

  constructor(handler: FramingHandler) {
    this.#handler = handler;
  }

  feed(text: string): void {
    const bytes = Buffer.from(text, "latin1");
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = Buffer.alloc(0);
    for (;;) {
      const length = this.#readLength(rest);
      if (length === undefined || rest.length < length) break;
      this.#readMessage(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
    this.#rest = rest;
  }

  /** A message that lacks anything is none, and the stream's last message is its terminal event. */
  end(): void {}

  /** The length of the message that begins here, once its prelude is there. */
  #readLength(bytes: Buffer): number | undefined {
    if (bytes.length < PRELUDE_BYTES) return undefined;
    const length = bytes.readUInt32BE(0);
    if (length > MAX_EVENT_LENGTH) {
      this.#handler.onGarbage(`a message longer than ${MAX_EVENT_LENGTH} bytes`);
    }
    const headersLength = bytes.readUInt32BE(4);
    const isIntact = crc32(bytes.subarray(0, 8)) === bytes.readUInt32BE(8);
    if (!isIntact || PRELUDE_BYTES + headersLength + CHECKSUM_BYTES > length) {
      this.#handler.onGarbage("a message with a broken prelude");
    }
    return length;
  }

  #readMessage(message: Buffer): void {
    const end = message.length - CHECKSUM_BYTES;
    if (crc32(message.subarray(0, end)) !== message.readUInt32BE(end)) {
      this.#handler.onGarbage("a message with a wrong checksum");
    }
    const payloadStart = PRELUDE_BYTES + message.readUInt32BE(4);
    const headers = this.#readHeaders(message.subarray(PRELUDE_BYTES, payloadStart));
    const payload = message.toString("utf8", payloadStart, end);
    if (headers.get(":message-type") === "event") {
      this.#handler.onEvent(headers.get(":event-type"), payload);
      return;
    }
    const type = headers.get(":exception-type") ?? headers.get(":error-code");
    this.#handler.onError({ ...readObject(parseJson(payload)), __type: type });
  }

  /** Name length, name, type, value: one after the other. */
  #readHeaders(bytes: Buffer): ReadonlyMap<string, string> {
    const headers = new Map<string, string>();
    try {
      for (let at = 0; at < bytes.length; ) {
        const nameEnd = at + 1 + bytes.readUInt8(at);
        const type = bytes.readUInt8(nameEnd);
        const fixedLength = HEADER_VALUE_BYTES[type];
        const valueStart = nameEnd + 1 + (fixedLength === undefined ? 2 : 0);
        const valueEnd = valueStart + (fixedLength ?? bytes.readUInt16BE(nameEnd + 1));
        if (valueEnd > bytes.length) throw new RangeError("a value beyond the headers");
        if (type === TEXT_HEADER) {
          headers.set(bytes.toString("utf8", at + 1, nameEnd), bytes.toString("utf8", valueStart, valueEnd));
        }
        at = valueEnd;
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#handler.onGarbage("a message with broken headers");
    }
    return headers;
  }
}
