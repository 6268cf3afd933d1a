import type { Journal } from "./journal.ts";
import type { LedgerDatabase } from "./ledger-database.ts";

export interface TrimmerOptions {
  /** A database that is not durable at commit is synced this long after rows were written to it. @default 5 s */
  readonly syncIntervalMs?: number;
  /** A sync that failed; the rows are kept. */
  readonly onSyncError?: (error: unknown) => void;
}

export const DEFAULT_SYNC_INTERVAL_MS = 5_000;

/** Lets the journal forget rows once the database holds them durably. */
export interface Trimmer {
  /** The database has committed all rows up to this sequence. */
  shipped(upTo: number): void;
  /** Syncs for the last time. */
  stop(): Promise<void>;
}

export function createTrimmer(
  journal: Journal,
  database: Pick<LedgerDatabase, "sync">,
  options: TrimmerOptions,
): Trimmer {
  const { syncIntervalMs = DEFAULT_SYNC_INTERVAL_MS, onSyncError = () => {} } = options;
  let shippedUpTo = journal.content.trimmedUpTo;
  let trimmedUpTo = shippedUpTo;
  let target = shippedUpTo;
  let trimming = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let syncing: Promise<void> | undefined;

  /** At most one is under way: each covers those before it. */
  function trim(upTo: number): void {
    target = upTo;
    if (trimming || upTo === trimmedUpTo) return;
    trimming = true;
    void journal.add([{ kind: "trim", upTo }], "keep").then(() => {
      trimming = false;
      trimmedUpTo = upTo;
      trim(target);
    });
  }

  function scheduleSync(): void {
    if (!syncing && !stopped) timer ??= setTimeout(() => void sync(), syncIntervalMs).unref();
  }

  /** Everything that was committed before the sync began is durable after it. One at a time. */
  async function sync(): Promise<void> {
    timer = undefined;
    const upTo = shippedUpTo;
    if (!database.sync || upTo === target) return;
    syncing = database.sync();
    try {
      await syncing;
      trim(upTo);
    } catch (error) {
      onSyncError(error);
    }
    syncing = undefined;
    if (target < shippedUpTo) scheduleSync();
  }

  return {
    shipped(upTo) {
      shippedUpTo = upTo;
      if (database.sync) scheduleSync();
      else trim(upTo);
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await syncing?.catch(() => {});
      await sync();
      while (trimming && !journal.failing) await journal.flush();
    },
  };
}
