import { setTimeout as delay } from "node:timers/promises";

export interface BatchWriterOptions<Entry> {
  /** Makes the entries durable, all or none; entries that are durable already do no harm. */
  readonly write: (entries: readonly Entry[]) => Promise<void>;
  /** Whether the error is the fault of an entry, so that trying the same batch again would fail again. */
  readonly isEntryError: (error: unknown) => boolean;
  readonly maxBatchRows: number;
  /** Pauses after failures double from the first to the second; each is drawn from the upper half of its range. */
  readonly retryDelayMs: { readonly first: number; readonly max: number };
  readonly onBatch: (batch: BatchStatistics) => void;
  readonly onWriteError: (error: unknown, failure: WriteFailure) => void;
  /** An entry that can never be stored. Its `add` rejects with the same error. */
  readonly onRejected: (error: unknown, entry: Entry) => void;
  /** Once aborted, what is not written is given up after the try that is running: its `add` rejects. */
  readonly signal?: AbortSignal | undefined;
}

export interface BatchStatistics {
  readonly rows: number;
  readonly durationMs: number;
}

export interface WriteFailure {
  readonly rows: number;
  /** 1 for the first failure after a success; an entry at fault does not count. */
  readonly consecutiveFailures: number;
  /** The pause before the next try; 0 when the batch is divided to find the entry at fault. */
  readonly retryInMs: number;
}

/** One ordered writer with group commit. */
export interface BatchWriter<Entry> {
  /** Resolves when the entry is durable, however long that takes; rejects only when it can never be stored. */
  add(entry: Entry): Promise<void>;
  /** Resolves when each of the entries is durable, or can never be stored, or was given up. */
  addAll(entries: readonly Entry[]): Promise<void>;
  /** Entries that are not durable yet. */
  readonly depth: number;
  /** How long the oldest of them has been waiting; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** True from a failed write until one succeeds. */
  readonly failing: boolean;
  /** Resolves when everything that was added before is durable or rejected. */
  flush(): Promise<void>;
}

interface Waiting<Entry> {
  readonly entry: Entry;
  readonly addedAtMs: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit that clocks itself: while a batch is being written the next one gathers, so that a busy system
 * writes large batches and an idle one waits for nobody. Nothing that was added is ever given up while the
 * process lives; an entry at fault is found by halving its batch.
 */
export function createBatchWriter<Entry>(options: BatchWriterOptions<Entry>): BatchWriter<Entry> {
  const { signal } = options;
  const queue: Waiting<Entry>[] = [];
  let writing: readonly Waiting<Entry>[] = [];
  let running = false;
  let consecutiveFailures = 0;
  let last: Promise<void> = Promise.resolve();

  async function run(): Promise<void> {
    while (queue.length > 0) {
      writing = queue.splice(0, options.maxBatchRows);
      await store(writing);
    }
    writing = [];
    running = false;
  }

  async function store(batch: readonly Waiting<Entry>[]): Promise<void> {
    for (;;) {
      const startedAtMs = performance.now();
      const failed = await failureOf(options.write(batch.map((waiting) => waiting.entry)));
      if (!failed) {
        consecutiveFailures = 0;
        for (const waiting of batch) waiting.resolve();
        options.onBatch({ rows: batch.length, durationMs: performance.now() - startedAtMs });
        return;
      }
      const isEntryError = options.isEntryError(failed.error);
      const retryInMs = isEntryError ? 0 : pauseMs(++consecutiveFailures, options.retryDelayMs);
      options.onWriteError(failed.error, { rows: batch.length, consecutiveFailures, retryInMs });
      if (isEntryError) return await divide(batch, failed.error);
      await delay(retryInMs, undefined, { signal }).catch(() => {});
      if (signal?.aborted) {
        for (const waiting of batch) waiting.reject(failed.error);
        return;
      }
    }
  }

  async function divide(batch: readonly Waiting<Entry>[], error: unknown): Promise<void> {
    const [first] = batch;
    if (batch.length === 1 && first) {
      options.onRejected(error, first.entry);
      first.reject(error);
      return;
    }
    const middle = batch.length >> 1;
    await store(batch.slice(0, middle));
    await store(batch.slice(middle));
  }

  function start(): void {
    if (running) return;
    running = true;
    // What arrives in this turn of the event loop shares the first batch.
    setImmediate(() => void run());
  }

  return {
    add(entry) {
      last = new Promise((resolve, reject) => {
        queue.push({ entry, addedAtMs: performance.now(), resolve, reject });
      });
      start();
      return last;
    },
    addAll(entries) {
      if (entries.length === 0) return Promise.resolve();
      last = new Promise((resolve) => {
        let left = entries.length;
        const settled = () => {
          left -= 1;
          if (left === 0) resolve();
        };
        const addedAtMs = performance.now();
        queue.push(...entries.map((entry) => ({ entry, addedAtMs, resolve: settled, reject: settled })));
      });
      start();
      return last;
    },
    get depth() {
      return writing.length + queue.length;
    },
    get oldestAgeMs() {
      const oldest = writing[0] ?? queue[0];
      return oldest ? performance.now() - oldest.addedAtMs : 0;
    },
    get failing() {
      return consecutiveFailures > 0;
    },
    flush: () => last.catch(() => {}),
  };
}

async function failureOf(work: Promise<void>): Promise<{ readonly error: unknown } | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return { error };
  }
}

function pauseMs(failures: number, range: BatchWriterOptions<unknown>["retryDelayMs"]): number {
  const full = Math.min(range.max, range.first * 2 ** Math.min(failures - 1, 20));
  return full / 2 + (Math.random() * full) / 2;
}
