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
 * Lines are gathered for so long after the start of a write. Each write wakes a thread: on a process that has one
 * core, a line took 14 µs of CPU when every line was written by itself, 4 µs when they are gathered.
 */
const GATHER_MS = 10;

/**
 * Writes lines to a file descriptor asynchronously; lines are gathered while a write is under way and for a moment
 * after it began, so that a single line is written at once and many are written together. Not sonic-boom (4), which
 * writes what is left synchronously when the process exits, and never ends doing so once the reader of a pipe has gone.
 */
export function createLineSink({ fd, maxWaitingCharacters, onDropped }: LineSinkOptions): LineSink {
  let waiting = "";
  /** A write is under way or has its time. */
  let writing = false;
  let gathering: NodeJS.Timeout | undefined;
  let wroteAtMs = Number.NEGATIVE_INFINITY;
  let readerGone = false;
  let whenIdle: (() => void)[] = [];

  function writeWaiting(): void {
    gathering = undefined;
    if (waiting === "") {
      writing = false;
      for (const resolve of whenIdle) resolve();
      whenIdle = [];
      return;
    }
    writing = true;
    wroteAtMs = performance.now();
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
      if (waiting === "" || whenIdle.length > 0) writeWaiting();
      else gather();
    });
  }

  function gather(): void {
    const restMs = wroteAtMs + GATHER_MS - performance.now();
    writing = true;
    if (restMs > 0) gathering = setTimeout(writeWaiting, restMs);
    else writeWaiting();
  }

  return {
    write(line) {
      if (readerGone || waiting.length + line.length > maxWaitingCharacters) return onDropped();
      waiting += line;
      if (!writing) gather();
    },
    flush() {
      if (!writing) return Promise.resolve();
      if (gathering !== undefined) {
        clearTimeout(gathering);
        writeWaiting();
      }
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
