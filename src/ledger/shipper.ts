import { setTimeout as delay } from "node:timers/promises";
import type { Price } from "../core/price.ts";
import {
  createDatabaseWriter,
  type DatabaseWriterOptions,
  DEFAULT_MAX_BATCH_ROWS,
} from "./database-writer.ts";
import type { Journal } from "./journal.ts";
import { createTrimmer, type TrimmerOptions } from "./journal-trimmer.ts";
import type { LedgerDatabase } from "./ledger-database.ts";

export interface ShipperOptions extends Omit<DatabaseWriterOptions, "signal">, TrimmerOptions {}

/** Carries rows from the journal to the database, in order, and lets the journal forget what is durable there. */
export interface Shipper {
  /** The database has taken, or refused for ever, every row up to this sequence. */
  readonly shippedUpTo: number;
  /** Rows that the database has not taken yet. */
  readonly unshipped: number;
  /** How long the oldest of them has been in the journal; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** True from a failed write until one succeeds. */
  readonly failing: boolean;
  /** The price that rows may name. */
  remember(price: Price): void;
  /** Tells that the journal has new rows. */
  wake(): void;
  /** Resolves with true when the database has taken every row that was durable when this was asked. */
  shipped(timeoutMs: number): Promise<boolean>;
  /** Ships for at most so long, syncs, and stops. What is left stays in the journal. */
  stop(timeoutMs: number): Promise<void>;
}

/** Rows gather so long before they are shipped, which spares both the journal and the database many small batches. */
const GATHER_MS = 20;
/** The pause after the journal could not be read. */
const READ_RETRY_MS = 1_000;

interface Waiter {
  readonly sequence: number;
  readonly resolve: (shipped: boolean) => void;
}

export function createShipper(
  journal: Journal,
  database: Pick<LedgerDatabase, "query" | "sync">,
  options: ShipperOptions = {},
): Shipper {
  const batchRows = options.maxBatchRows ?? DEFAULT_MAX_BATCH_ROWS;
  const stopped = new AbortController();
  const { writer, prices } = createDatabaseWriter(database, { ...options, signal: stopped.signal });
  let shippedUpTo = journal.content.trimmedUpTo;
  const trimmer = createTrimmer(journal, database, options);
  let oldestWrittenAtMs: number | undefined;
  let running: Promise<void> | undefined;
  let gatherTimer: NodeJS.Timeout | undefined;
  let waiters: Waiter[] = [];

  async function run(): Promise<void> {
    do {
      try {
        await shipBatch();
      } catch (error) {
        options.onWriteError?.(error, { rows: 0, consecutiveFailures: 1, retryInMs: READ_RETRY_MS });
        await delay(READ_RETRY_MS, undefined, { signal: stopped.signal }).catch(() => {});
      }
    } while (isPressing());
    oldestWrittenAtMs = undefined;
    running = undefined;
    wake();
  }

  /** A few rows that nobody waits for may gather. */
  function isPressing(): boolean {
    const unshipped = journal.lastSequence - shippedUpTo;
    return !stopped.signal.aborted && unshipped > 0 && (unshipped >= batchRows || waiters.length > 0);
  }

  function start(): void {
    clearTimeout(gatherTimer);
    gatherTimer = undefined;
    running ??= run();
  }

  async function shipBatch(): Promise<void> {
    const rows = await journal.next(shippedUpTo, batchRows);
    const last = rows.at(-1);
    if (!last) {
      shippedUpTo = journal.lastSequence;
      return;
    }
    oldestWrittenAtMs = rows[0]?.writtenAtMs;
    // A row that the database refuses for ever was reported; the journal must not offer it again.
    await writer.addAll(rows);
    if (stopped.signal.aborted && writer.failing) return;
    shippedUpTo = last.sequence;
    waiters = waiters.filter(({ sequence, resolve }) => {
      if (sequence > shippedUpTo) return true;
      resolve(true);
      return false;
    });
    trimmer.shipped(shippedUpTo);
  }

  function wake(): void {
    if (running || stopped.signal.aborted || shippedUpTo >= journal.lastSequence) return;
    if (isPressing()) start();
    else gatherTimer ??= setTimeout(start, GATHER_MS);
  }

  const shipped = (timeoutMs: number): Promise<boolean> => {
    const sequence = journal.lastSequence;
    if (sequence <= shippedUpTo) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        waiters = waiters.filter((waiter) => waiter !== entry);
        resolve(false);
      }, timeoutMs);
      const entry: Waiter = {
        sequence,
        resolve: (done) => {
          clearTimeout(timer);
          resolve(done);
        },
      };
      waiters.push(entry);
      wake();
    });
  };

  return {
    get shippedUpTo() {
      return shippedUpTo;
    },
    get unshipped() {
      return journal.lastSequence - shippedUpTo;
    },
    get oldestAgeMs() {
      return oldestWrittenAtMs === undefined ? 0 : Math.max(0, Date.now() - oldestWrittenAtMs);
    },
    get failing() {
      return writer.failing;
    },
    remember: (price) => prices.remember(price),
    wake,
    shipped,
    async stop(timeoutMs) {
      await shipped(timeoutMs);
      stopped.abort();
      clearTimeout(gatherTimer);
      await running;
      await trimmer.stop();
    },
  };
}
