import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { GatewayError } from "../../core/errors.ts";

/** An envelope's header: one byte of flags, four of length. */
export const ENVELOPE_HEADER_BYTES = 5;
/** Room for an end-of-stream envelope after the one message. */
const ENVELOPE_SLACK_BYTES = 1024;

/**
 * The body of a request that carries one message, read as a whole. Connect takes it as an iterable of one chunk,
 * which spares it a chain of generators for each chunk of the socket. Never holds more than the limit: a length
 * that is too large is refused when it is declared, not when it arrived.
 */
export class RequestBody implements AsyncIterableIterator<Uint8Array> {
  readonly #request: IncomingMessage | Http2ServerRequest;
  readonly #maxBytes: number;
  readonly #enveloped: boolean;
  readonly #whole = Promise.withResolvers<Uint8Array>();
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #handedOut = false;
  #settled = false;
  /** Why the body could not be read: Connect replaces it by an error of its own, which says less. */
  failure: GatewayError | undefined;

  constructor(
    request: IncomingMessage | Http2ServerRequest,
    options: { readonly maxMessageBytes: number; readonly enveloped: boolean },
  ) {
    this.#request = request;
    this.#enveloped = options.enveloped;
    this.#maxBytes = options.enveloped
      ? options.maxMessageBytes + ENVELOPE_HEADER_BYTES + ENVELOPE_SLACK_BYTES
      : options.maxMessageBytes;
    // Nobody may be waiting yet when it fails; whoever comes later still sees the rejection.
    this.#whole.promise.catch(() => {});
    const declaredBytes = Number(request.headers["content-length"]);
    if (declaredBytes > this.#maxBytes) this.fail(tooLarge(options.maxMessageBytes));
    else this.#listen(options.maxMessageBytes);
  }

  #listen(maxMessageBytes: number): void {
    this.#request.on("data", (chunk: Uint8Array) => {
      if (this.#settled) return;
      this.#chunks.push(chunk);
      this.#bytes += chunk.byteLength;
      if (this.#bytes > this.#maxBytes || this.#declaresMoreThan(maxMessageBytes))
        this.fail(tooLarge(maxMessageBytes));
    });
    this.#request.on("end", () => {
      if (this.#settled) return;
      this.#settled = true;
      const [only] = this.#chunks;
      this.#whole.resolve(this.#chunks.length === 1 && only ? only : Buffer.concat(this.#chunks));
      this.#chunks = [];
    });
    // Errors of the socket end in `close`, which the call turns into its abort; unheard they would be thrown.
    this.#request.on("error", () => {});
  }

  /** True once the length in the envelope's header is known and too large. */
  #declaresMoreThan(maxMessageBytes: number): boolean {
    if (!this.#enveloped || this.#bytes < ENVELOPE_HEADER_BYTES) return false;
    let [head] = this.#chunks;
    if (!head || head.byteLength < ENVELOPE_HEADER_BYTES) {
      head = Buffer.concat(this.#chunks);
      this.#chunks = [head];
    }
    return new DataView(head.buffer, head.byteOffset).getUint32(1) > maxMessageBytes;
  }

  /** Stops reading: whoever waits for the body gets the error. */
  fail(error: GatewayError): void {
    if (this.#settled) return;
    this.#settled = true;
    this.failure = error;
    this.#chunks = [];
    this.#whole.reject(error);
  }

  /** The whole body, without taking it from the one who iterates. Rejects with a GatewayError when it cannot be read. */
  get whole(): Promise<Uint8Array> {
    return this.#whole.promise;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#handedOut) return { done: true, value: undefined };
    this.#handedOut = true;
    return { done: false, value: await this.#whole.promise };
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#handedOut = true;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function tooLarge(maxMessageBytes: number): GatewayError {
  return new GatewayError("MESSAGE_TOO_LARGE", `the message exceeds the limit of ${maxMessageBytes} bytes`);
}
