/** How much a stream may hold for a slow reader before its writer is told to wait. */
export const MAX_QUEUED_BYTES = 64 * 1024;

const DONE: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/**
 * The messages of a response stream, between a handler that pushes and Connect, which pulls. Hand-made, because an
 * async generator costs several promises a message. One reader, one writer.
 */
export class StreamQueue<T> implements AsyncIterableIterator<T> {
  #items: { readonly value: T; bytes: number }[] = [];
  #head = 0;
  #queuedBytes = 0;
  #state: "open" | "ended" | "closed" = "open";
  #error: Error | undefined;
  #reader: { resolve(result: IteratorResult<T>): void; reject(error: Error): void } | undefined;
  #writer: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #lastWord: (() => T) | undefined;
  /** Messages pushed so far. */
  pushed = 0;

  /** Adds a message of about so many bytes. Who pushes many waits for `full` in between. */
  push(value: T, bytes: number): void {
    if (this.#state !== "open") return;
    this.pushed += 1;
    if (this.#reader) {
      const reader = this.#reader;
      this.#reader = undefined;
      reader.resolve({ done: false, value });
      return;
    }
    this.#items.push({ value, bytes });
    this.#queuedBytes += bytes;
  }

  /** A promise while more than MAX_QUEUED_BYTES wait to be read; it resolves when they were, or when nobody reads any more. */
  full(): Promise<void> | undefined {
    if (this.#queuedBytes <= MAX_QUEUED_BYTES || this.#state !== "open") return undefined;
    if (!this.#writer) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#writer = { promise, resolve };
    }
    return this.#writer.promise;
  }

  /** The newest message, as long as it was not read: more can be added to it with `grew`. */
  get unread(): T | undefined {
    return this.#state === "open" && this.#head < this.#items.length ? this.#items.at(-1)?.value : undefined;
  }

  /** Says that the unread message became larger. */
  grew(bytes: number): void {
    const last = this.#items.at(-1);
    if (!last) return;
    last.bytes += bytes;
    this.#queuedBytes += bytes;
  }

  /** What is sent last when the stream is cut short by the deadline, provided anything was sent before. */
  set lastWord(make: () => T) {
    this.#lastWord = make;
  }

  /** Ends the stream, after what is queued, with the error if there is one. */
  end(error?: Error): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#error = error;
    this.#releaseWriter();
    if (!this.#reader) return;
    const reader = this.#reader;
    this.#reader = undefined;
    if (error) {
      this.#error = undefined;
      reader.reject(error);
    } else reader.resolve(DONE);
  }

  /** Ends the stream before its handler did. */
  cutShort(error: Error): void {
    if (this.#state === "open" && this.pushed > 0 && this.#lastWord) this.push(this.#lastWord(), 0);
    this.end(error);
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.#items[this.#head];
    if (item) {
      this.#head += 1;
      if (this.#head === this.#items.length) {
        this.#items = [];
        this.#head = 0;
      }
      this.#queuedBytes -= item.bytes;
      if (this.#queuedBytes <= MAX_QUEUED_BYTES) this.#releaseWriter();
      return Promise.resolve({ done: false, value: item.value });
    }
    if (this.#state !== "open") {
      const error = this.#error;
      this.#error = undefined;
      return error ? Promise.reject(error) : Promise.resolve(DONE);
    }
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** Nobody reads any more: what is queued is dropped, and a waiting writer goes on. */
  async return(): Promise<IteratorResult<T>> {
    this.#state = "closed";
    this.#items = [];
    this.#head = 0;
    this.#queuedBytes = 0;
    this.#releaseWriter();
    this.#reader?.resolve(DONE);
    this.#reader = undefined;
    return DONE;
  }

  /** Connect throws in what happened downstream: nobody reads any more. */
  async throw(error: unknown): Promise<IteratorResult<T>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #releaseWriter(): void {
    this.#writer?.resolve();
    this.#writer = undefined;
  }
}
