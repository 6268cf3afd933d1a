import { write } from "node:fs";

export interface LineSink {
  write(line: string): void;
  /** Resolves when everything so far was written, or after two seconds: a reader that stands still is not waited for. */
  flush(): Promise<void>;
}

export interface LineSinkOptions {
  readonly fd: number;
  /** Characters that wait for a slow reader at most; further lines are dropped. */
  readonly maxWaitingCharacters: number;
  readonly onDropped: () => void;
}

const FLUSH_TIMEOUT_MS = 2_000;
const BUSY_RETRY_MS = 10;

/**
 * Writes lines to a file descriptor asynchronously; lines are gathered while a write is under way. pino's own
 * destination (sonic-boom 4) is not used because it writes what is left synchronously when the process exits, and
 * never ends doing so once the reader of a pipe has gone.
 */
export function createLineSink({ fd, maxWaitingCharacters, onDropped }: LineSinkOptions): LineSink {
  let waiting = "";
  let writing = false;
  let readerGone = false;
  let whenIdle: (() => void)[] = [];

  function writeWaiting(): void {
    if (waiting === "") {
      writing = false;
      for (const resolve of whenIdle) resolve();
      whenIdle = [];
      return;
    }
    writing = true;
    const chunk = Buffer.from(waiting);
    waiting = "";
    writeChunk(chunk);
  }

  function writeChunk(chunk: Buffer): void {
    write(fd, chunk, (error, written) => {
      if (!error && written < chunk.length) return writeChunk(chunk.subarray(written));
      // A pipe that was set to non-blocking says so when it is full.
      if (error?.code === "EAGAIN") return void setTimeout(writeChunk, BUSY_RETRY_MS, chunk);
      if (error) onDropped();
      if (error?.code === "EPIPE" || error?.code === "EBADF") {
        readerGone = true;
        waiting = "";
      }
      writeWaiting();
    });
  }

  return {
    write(line) {
      if (readerGone || waiting.length + line.length > maxWaitingCharacters) return onDropped();
      waiting += line;
      if (!writing) writeWaiting();
    },
    flush() {
      if (!writing) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, FLUSH_TIMEOUT_MS);
        whenIdle.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}
