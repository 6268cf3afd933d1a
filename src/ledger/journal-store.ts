import { closeSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type JournalContent, readContent } from "./journal-content.ts";
import type { JournalBatch } from "./journal-lines.ts";
import { LOG_SCHEMA, openJournalLog } from "./journal-log.ts";
import { isNoRoom } from "./journal-reserve.ts";
import {
  createReplayTable,
  REPLAY_SCHEMA,
  type ReplayLimits,
  type ReplayOperation,
  type StoredReplay,
} from "./replay-table.ts";

/**
 * One change of the journal. Those of one call of `commit` become durable together or not at all. `json` is JSON text
 * without line breaks.
 */
export type JournalOperation =
  | { readonly kind: "price"; readonly priceId: string; readonly json: string }
  | { readonly kind: "open"; readonly attemptId: string; readonly json: string }
  /** Takes back an intent that was refused, should it have reached the disk after all. */
  | { readonly kind: "discard"; readonly attemptId: string }
  /** What an open attempt has received so far; of an attempt that is not open it is nothing. */
  | {
      readonly kind: "checkpoint";
      readonly attemptId: string;
      readonly outputBytes: number;
      readonly deltas: number;
    }
  /** A row for the database; with `attemptId` it is the outcome of that attempt, whose intent it ends. */
  | {
      readonly kind: "row";
      readonly table: JournalTable;
      readonly json: string;
      readonly priceId: string | undefined;
      readonly attemptId: string | undefined;
    }
  /** The database holds all rows up to this sequence durably. */
  | { readonly kind: "trim"; readonly upTo: number }
  | ReplayOperation;

/** Where a row goes; a `late_outcome` becomes two entries of `cost_record`, or none. */
export type JournalTable = "cost_record" | "request_log" | "late_outcome";

/** A row that waits for the database. */
export interface JournalRow {
  /** Grows with every row; never used twice. */
  readonly sequence: number;
  readonly table: JournalTable;
  readonly json: string;
  readonly priceId: string | undefined;
  /** When it was written, milliseconds since 1970. */
  readonly writtenAtMs: number;
}

/** What a commit came to. */
export interface JournalCommit {
  /** The sequence of the last row that it wrote, or 0. */
  readonly lastSequence: number;
  /** What the journal holds now, without the free pages of its file, its log, and the answers for repetitions. */
  readonly usedBytes: number;
}

export interface JournalStoreOptions {
  readonly file: string;
  /** The file's size at most; what does not fit is an error of `commit`. */
  readonly maxBytes: number;
  /** The log beside it is emptied into the file when it gets larger. @default 4 MiB, which is also the most */
  readonly maxLogBytes?: number;
  /** Whether all of the file is read, which finds damage. @default true */
  readonly check?: boolean;
  /** Of what is remembered of repeatable calls, in the same file. */
  readonly replayLimits: ReplayLimits;
}

/** The journal's file is not what this program wrote. Nothing of it is deleted. */
export class JournalDamagedError extends Error {
  override readonly name = "JournalDamagedError";

  constructor(file: string, detail: string, options?: ErrorOptions) {
    super(
      `the journal ${file} is damaged (${detail}): it may hold records that are nowhere else; ` +
        "move it aside to start without them",
      options,
    );
  }
}

/** The journal's file, used from one thread. Every method is synchronous and as slow as the disk. */
export interface JournalStore {
  content(): JournalContent;
  /** Durable when it returns; when it throws, it may be found in the file by the next opening or not. */
  commit(batch: JournalBatch): JournalCommit;
  /** Writes something. False when the file is nearly as large as it may be. @throws when the disk takes no writes */
  probe(): boolean;
  /** Gives up the oldest answers for repetitions, so that costs find room in the file. */
  giveUpAnswers(): void;
  /** Gives what it does not need back to the disk. */
  shrink(): void;
  /** Rows after `afterSequence`, in their order. */
  read(afterSequence: number, limit: number): JournalRow[];
  /** What is remembered of a repeatable call. */
  recall(callKey: Uint8Array, nowMs: number): StoredReplay | undefined;
  close(): void;
}

const PAGE_BYTES = 4_096;
const MAX_LOG_BYTES = 4 * 1_024 ** 2;
/** So many pages are given back at a time: it takes room in the log. */
const SHRINK_PAGES = 64;
/** Pieces of the log, some 64 KiB each at most, that are trimmed at once, and where there may be little room. */
const TRIM_PIECES = 64;
const CAREFUL_TRIM_PIECES = 2;
/** Room for some hundred attempts. */
const SPARE_PAGES = 64;

/**
 * Write-ahead log and an fsync at every commit. The exclusive lock also keeps a second process out and spares the
 * shared memory file.
 */
const PRAGMAS = `
  PRAGMA page_size = ${PAGE_BYTES};
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA journal_size_limit = ${2 * MAX_LOG_BYTES};
  PRAGMA temp_store = MEMORY;`;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS price (price_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
  ${LOG_SCHEMA}
  CREATE TABLE IF NOT EXISTS probe (probe_id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
  ${REPLAY_SCHEMA}`;

const EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)";

/** @throws JournalDamagedError, or SQLite's own error (in use, no space, no permission) */
export function openJournalStore(options: JournalStoreOptions): JournalStore {
  const { file, maxBytes, replayLimits, maxLogBytes = MAX_LOG_BYTES, check = true } = options;
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    // Of a file that is there this would be a write, for which there may be no room.
    if (pageCount(database) === 0) database.exec("PRAGMA auto_vacuum = INCREMENTAL");
    database.exec(PRAGMAS);
    const logPages = Math.ceil(Math.min(maxLogBytes, MAX_LOG_BYTES) / PAGE_BYTES);
    database.exec(`PRAGMA wal_autocheckpoint = ${logPages}`);
    emptyLog(database);
    if (check) assertIntact(database, file);
    const maxPages = Math.ceil(maxBytes / PAGE_BYTES);
    database.exec(`${SCHEMA} PRAGMA max_page_count = ${maxPages}`);
    syncDirectory(dirname(file));
    syncDirectory(dirname(dirname(file)));
    return createStore(database, { maxPages, replayLimits });
  } catch (cause) {
    database.close();
    if (isDamage(cause)) throw new JournalDamagedError(file, cause.message, { cause });
    throw cause;
  }
}

/** A log that filled the disk goes into the file: that makes room. Where not even that fits, rows can still be read. */
function emptyLog(database: DatabaseSync): void {
  try {
    database.exec(EMPTY_LOG);
  } catch (error) {
    if (!isNoRoom(error)) throw error;
  }
}

function assertIntact(database: DatabaseSync, file: string): void {
  const found = database.prepare("PRAGMA quick_check(1)").get()?.quick_check;
  if (found !== "ok") throw new JournalDamagedError(file, String(found));
}

function createStore(
  database: DatabaseSync,
  { maxPages, replayLimits }: { readonly maxPages: number; readonly replayLimits: ReplayLimits },
): JournalStore {
  const replays = createReplayTable(database, replayLimits);
  const log = openJournalLog(database);
  const insertPrice = database.prepare("INSERT OR IGNORE INTO price VALUES (?, ?)");
  const begin = database.prepare("BEGIN IMMEDIATE");
  const end = database.prepare("COMMIT");
  const fileBytes = prepareUsedBytes(database);
  /** Answers give way to costs, so they take nothing of the journal's bound. */
  const usedBytes = () => Math.max(0, fileBytes() - replays.answerBytes());
  /** All or nothing of it. */
  const transaction = <T>(work: () => T): T => {
    begin.run();
    try {
      const result = work();
      end.run();
      return result;
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
  };
  const applyOther = (operation: JournalBatch["others"][number]): void => {
    if (operation.kind === "trim") return;
    if (operation.kind === "price") insertPrice.run(operation.priceId, operation.json);
    else replays.apply(operation);
  };
  return {
    content: () => ({ ...readContent(database, log), usedBytes: usedBytes() }),
    commit(batch) {
      const trims = batch.others.flatMap((other) => (other.kind === "trim" ? [other.upTo] : []));
      const upTo = Math.max(0, ...trims);
      if (batch.pieces.length === 0 && trims.length === batch.others.length) {
        // On a full disk there is no room in SQLite's log for more at a time.
        while (!transaction(() => log.trim(upTo, CAREFUL_TRIM_PIECES)));
      } else {
        transaction(() => {
          // What is taken out first makes room for what comes in, also when the disk is full.
          while (upTo > 0 && !log.trim(upTo, TRIM_PIECES));
          log.append(batch.pieces);
          for (const other of batch.others) applyOther(other);
          replays.sweep();
        });
      }
      return { lastSequence: log.lastSequence, usedBytes: usedBytes() };
    },
    probe() {
      database.exec(`INSERT OR REPLACE INTO probe VALUES (1, ${Date.now()})`);
      return fileBytes() <= (maxPages - SPARE_PAGES) * PAGE_BYTES;
    },
    giveUpAnswers: () => replays.makeRoom(),
    shrink() {
      const free = database.prepare("PRAGMA freelist_count");
      for (let left = Number(free.get()?.freelist_count); left > 0; ) {
        database.exec(`PRAGMA incremental_vacuum(${SHRINK_PAGES}); ${EMPTY_LOG}`);
        const now = Number(free.get()?.freelist_count);
        if (now >= left) return;
        left = now;
      }
    },
    read: (afterSequence, limit) => log.read(afterSequence, limit),
    recall: (callKey, nowMs) => replays.find(callKey, nowMs),
    close: () => database.close(),
  };
}

const pageCount = (database: DatabaseSync): number =>
  Number(database.prepare("PRAGMA page_count").get()?.page_count);

/** Six microseconds, since the file is locked anyway. */
function prepareUsedBytes(database: DatabaseSync): () => number {
  const all = database.prepare("PRAGMA page_count");
  const free = database.prepare("PRAGMA freelist_count");
  return () => PAGE_BYTES * (Number(all.get()?.page_count) - Number(free.get()?.freelist_count));
}

/** A new file is only there for good once its directory is on the disk. */
function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** SQLite's result codes for a file that is corrupt, and for one that is no database at all. */
const DAMAGE_CODES: readonly unknown[] = [11, 26];

function isDamage(error: unknown): error is Error {
  return (
    error instanceof Error &&
    "errcode" in error &&
    typeof error.errcode === "number" &&
    DAMAGE_CODES.includes(error.errcode & 0xff)
  );
}
