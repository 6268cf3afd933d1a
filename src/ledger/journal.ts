import { join } from "node:path";
import type { JournalContent } from "./journal-content.ts";
import { packOperations } from "./journal-lines.ts";
import { createJournalQueue, type FailurePolicy } from "./journal-queue.ts";
import type { JournalOperation, JournalRow } from "./journal-store.ts";
import { JournalTail } from "./journal-tail.ts";
import { createJournalThread, JOURNAL_PROGRAM } from "./journal-thread.ts";
import type { ReplayLimits, StoredReplay } from "./replay-table.ts";

export interface JournalOptions {
  /** Holds the one file `journal.sqlite`. The caller has locked it against other processes. */
  readonly directory: string;
  /** The file's size at most; what does not fit is a failed write. @default 2 GiB */
  readonly maxFileBytes?: number;
  /** Of what is remembered of repeatable calls, in the same file. @default 256 MiB of answers, 2,000,000 calls */
  readonly replayLimits?: ReplayLimits;
  /** Pauses between tries while the disk fails. @default 50 ms, doubling to 1 s */
  readonly retryDelayMs?: { readonly first: number; readonly max: number };
  /** After each failed write. */
  readonly onWriteError?: (error: unknown) => void;
  /** Another program for the thread, for tests of what the disk may do. @default `JOURNAL_PROGRAM` */
  readonly program?: URL;
}

/** The local, crash-safe list of intents and of rows that the database does not hold yet. */
export interface Journal {
  /** What it held when it was opened. */
  readonly content: JournalContent;
  /**
   * The operations become durable together, in the order of the additions. Resolves when they are (or were
   * dropped); rejects only under `refuse`, at once while the journal is failing.
   */
  add(operations: readonly JournalOperation[], policy: FailurePolicy): Promise<void>;
  /** Durable rows after a sequence, in order, as the file holds them. */
  read(afterSequence: number, limit: number): Promise<readonly JournalRow[]>;
  /** The same for the one that ships them: from memory as far as they are there. It does not come back to earlier ones. */
  next(afterSequence: number, limit: number): Promise<readonly JournalRow[]>;
  /** What is durable of a repeatable call. */
  recall(callKey: Uint8Array, nowMs: number): Promise<StoredReplay | undefined>;
  /** Of the last row that is durable. */
  readonly lastSequence: number;
  /** What it holds, without the free pages of its file and without SQLite's log beside it (some 4 MB). */
  readonly usedBytes: number;
  /** Additions that are not durable yet. */
  readonly depth: number;
  /** How long the oldest of them has been waiting; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** True from a failed write until one succeeds and there is room for more. */
  readonly failing: boolean;
  /** Resolves when everything that was added before is durable, refused or dropped. */
  flush(): Promise<void>;
  /** Gives up what is not durable yet. Call `flush` before. */
  close(): Promise<void>;
}

export const JOURNAL_FILE = "journal.sqlite";
export const DEFAULT_MAX_FILE_BYTES = 2 * 1_024 ** 3;
export const DEFAULT_REPLAY_LIMITS: ReplayLimits = { maxBytes: 256 * 1_024 ** 2, maxClaims: 2_000_000 };
const DEFAULT_RETRY_DELAY_MS = { first: 50, max: 1_000 };
/**
 * Opens the journal, or creates it.
 * @throws Error when the file is damaged, in use, or cannot be written
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { directory, maxFileBytes = DEFAULT_MAX_FILE_BYTES, onWriteError = () => {} } = options;
  const { retryDelayMs = DEFAULT_RETRY_DELAY_MS, program = JOURNAL_PROGRAM } = options;
  const { replayLimits = DEFAULT_REPLAY_LIMITS } = options;
  const thread = createJournalThread(
    { file: join(directory, JOURNAL_FILE), maxBytes: maxFileBytes, replayLimits },
    program,
  );
  const probe = async () => {
    const missing = await thread.ask({ kind: "probe" });
    if (missing !== undefined) throw new Error(`the journal failed: ${missing}`);
  };
  const content = await thread.ask({ kind: "content" }).catch(async (error: unknown) => {
    await thread.close();
    throw error;
  });
  const startError = await probe().then(
    () => undefined,
    (error: unknown) => error,
  );
  const tail = new JournalTail();
  const queue = createJournalQueue({
    startError,
    probe,
    async commit(operations) {
      const done = await thread.ask({ kind: "commit", batch: packOperations(operations) });
      tail.committed(operations, done.lastSequence);
      return done;
    },
    held: content,
    retryDelayMs,
    onWriteError,
  });
  const read: Journal["read"] = (afterSequence, limit) => thread.ask({ kind: "read", afterSequence, limit });
  return {
    content,
    add: (operations, policy) => queue.add(operations, policy),
    read,
    next: async (afterSequence, limit) =>
      tail.take(afterSequence, limit) ?? (await read(afterSequence, limit)),
    recall: (callKey, nowMs) => thread.ask({ kind: "recall", callKey, nowMs }),
    get lastSequence() {
      return queue.lastSequence;
    },
    get usedBytes() {
      return queue.usedBytes;
    },
    get depth() {
      return queue.depth;
    },
    get oldestAgeMs() {
      return queue.oldestAgeMs;
    },
    get failing() {
      return queue.failing;
    },
    flush: () => queue.flush(),
    async close() {
      queue.stop();
      await thread.close();
    },
  };
}
