const PREFIX_BYTES = 5;

/** The last message of an answer. */
export interface LastMessage {
  readonly flags: number;
  readonly bytes: Buffer;
}

/**
 * Counts the messages of a gRPC or Connect stream, each after a prefix of flags and length, however the bytes are
 * cut into chunks, and keeps the last one.
 */
export class EnvelopeCounter {
  messages = 0;
  #rest: Buffer | undefined;
  #last: LastMessage | undefined;

  push(chunk: Buffer): void {
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    let offset = 0;
    while (bytes.length - offset >= PREFIX_BYTES) {
      const end = offset + PREFIX_BYTES + bytes.readUInt32BE(offset + 1);
      if (end > bytes.length) break;
      this.messages += 1;
      this.#last = { flags: bytes.readUInt8(offset), bytes: bytes.subarray(offset + PREFIX_BYTES, end) };
      offset = end;
    }
    this.#rest = offset < bytes.length ? bytes.subarray(offset) : undefined;
  }

  /** The last message, once the stream has ended; undefined when there was none or the last one is cut. */
  end(): LastMessage | undefined {
    return this.#rest ? undefined : this.#last;
  }
}
