import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  createReplayTable,
  REPLAY_SCHEMA,
  type ReplayLimits,
  type ReplayOperation,
  type ReplayTable,
  type StoredReplay,
} from "./replay-table.ts";

/** One change of the journal. Those of one call of `commit` become durable together or not at all. */
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
  /** Gives up old answers for room; fails when there is none for `PROBE_BYTES` or the disk takes no writes. */
  | { readonly kind: "probe" }
  | ReplayOperation;

export type JournalTable = "cost_record" | "request_log";

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

/** What a journal holds when it is opened. */
export interface JournalContent {
  /** Attempts without an outcome; all of them belong to a process that is no more. */
  readonly intents: readonly {
    readonly json: string;
    readonly outputBytes: number;
    readonly deltas: number;
  }[];
  /** The prices of the intents and rows. */
  readonly prices: readonly string[];
  /** Rows that are not trimmed. */
  readonly rows: number;
  /** The sequence before the first row that is kept. */
  readonly trimmedUpTo: number;
  /** The sequence of the last row that was ever written. */
  readonly lastSequence: number;
}

export interface JournalStoreOptions {
  readonly file: string;
  /** The file's size at most; what does not fit is an error of `commit`. */
  readonly maxBytes: number;
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
  /**
   * Durable when it returns; when it throws, it may be found in the file by the next opening or not. Returns the
   * sequence of the last row that it wrote, or 0.
   */
  commit(operations: readonly JournalOperation[]): number;
  /** Rows after `afterSequence`, in their order. */
  read(afterSequence: number, limit: number): JournalRow[];
  /** What is remembered of a repeatable call. */
  recall(callKey: Uint8Array, nowMs: number): StoredReplay | undefined;
  close(): void;
}

const PAGE_BYTES = 4_096;
/** Room for some hundred attempts. */
const PROBE_BYTES = 262_144;

/**
 * Write-ahead log and an fsync at every commit. The exclusive lock also keeps a second process out and spares the
 * shared memory file.
 */
const PRAGMAS = `
  PRAGMA page_size = ${PAGE_BYTES};
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA journal_size_limit = 67108864;
  PRAGMA temp_store = MEMORY;`;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS price (price_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS intent (
    attempt_id TEXT PRIMARY KEY, json TEXT NOT NULL, output_bytes INTEGER NOT NULL, deltas INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS record (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, json TEXT NOT NULL, price_id TEXT,
    written_at_ms INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS probe (probe_id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, room BLOB);
  ${REPLAY_SCHEMA}`;

/** @throws JournalDamagedError, or SQLite's own error (in use, no space, no permission) */
export function openJournalStore({ file, maxBytes, replayLimits }: JournalStoreOptions): JournalStore {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec(PRAGMAS);
    const check = database.prepare("PRAGMA quick_check(1)").get()?.quick_check;
    if (check !== "ok") throw new JournalDamagedError(file, String(check));
    database.exec(`${SCHEMA} PRAGMA max_page_count = ${Math.ceil(maxBytes / PAGE_BYTES)}`);
    syncDirectory(dirname(file));
    syncDirectory(dirname(dirname(file)));
    return createStore(database, replayLimits);
  } catch (cause) {
    database.close();
    if (isDamage(cause)) throw new JournalDamagedError(file, cause.message, { cause });
    throw cause;
  }
}

function createStore(database: DatabaseSync, replayLimits: ReplayLimits): JournalStore {
  const replays = createReplayTable(database, replayLimits);
  const apply = prepareOperations(database, replays);
  const select = database.prepare(
    `SELECT sequence, target, json, price_id, written_at_ms FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?`,
  );
  return {
    content: () => readContent(database),
    commit(operations) {
      database.exec("BEGIN IMMEDIATE");
      try {
        let lastSequence = 0;
        // What is taken out first makes room for what comes in, also when the disk is full.
        for (const operation of operations) if (operation.kind === "trim") apply(operation);
        for (const operation of operations) {
          if (operation.kind !== "trim") lastSequence = Math.max(lastSequence, apply(operation));
        }
        replays.sweep();
        database.exec("COMMIT");
        return lastSequence;
      } catch (error) {
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    },
    read: (afterSequence, limit) => select.all(afterSequence, limit).map(toRow),
    recall: (callKey, nowMs) => replays.find(callKey, nowMs),
    close: () => database.close(),
  };
}

/** Applies one operation; returns the sequence of the row that it wrote, or 0. */
function prepareOperations(
  database: DatabaseSync,
  replays: ReplayTable,
): (operation: JournalOperation) => number {
  const prepare = (sql: string) => {
    const statement: StatementSync = database.prepare(sql);
    return (...values: readonly (string | number | null)[]): number => {
      statement.run(...values);
      return 0;
    };
  };
  const price = prepare("INSERT OR IGNORE INTO price VALUES (?, ?)");
  const open = prepare("INSERT OR IGNORE INTO intent VALUES (?, ?, 0, 0)");
  const end = prepare("DELETE FROM intent WHERE attempt_id = ?");
  const checkpoint = prepare("UPDATE intent SET output_bytes = ?, deltas = ? WHERE attempt_id = ?");
  const row = database.prepare(
    "INSERT INTO record (target, json, price_id, written_at_ms) VALUES (?, ?, ?, ?)",
  );
  const trim = prepare("DELETE FROM record WHERE sequence <= ?");
  const probe = prepare(`INSERT OR REPLACE INTO probe VALUES (1, ?, zeroblob(${PROBE_BYTES}))`);
  const endProbe = prepare("UPDATE probe SET room = NULL");
  return (operation) => {
    switch (operation.kind) {
      case "price":
        return price(operation.priceId, operation.json);
      case "open":
        return open(operation.attemptId, operation.json);
      case "discard":
        return end(operation.attemptId);
      case "checkpoint":
        return checkpoint(operation.outputBytes, operation.deltas, operation.attemptId);
      case "row": {
        if (operation.attemptId !== undefined) end(operation.attemptId);
        const { table, json, priceId = null } = operation;
        const { lastInsertRowid: sequence } = row.run(table, json, priceId, Date.now());
        return Number(sequence);
      }
      case "trim":
        return trim(operation.upTo);
      case "probe":
        replays.makeRoom();
        return probe(Date.now()) + endProbe();
      case "claim":
      case "conclude":
      case "release":
      case "sweep":
        replays.apply(operation);
        return 0;
      default:
        return operation satisfies never;
    }
  };
}

function readContent(database: DatabaseSync): JournalContent {
  database.exec(
    `DELETE FROM price WHERE price_id NOT IN (SELECT price_id FROM record WHERE price_id IS NOT NULL)
     AND price_id NOT IN (SELECT json ->> 'priceId' FROM intent WHERE json ->> 'priceId' IS NOT NULL)`,
  );
  const intents = database.prepare("SELECT json, output_bytes, deltas FROM intent ORDER BY attempt_id").all();
  const prices = database.prepare("SELECT json FROM price").all();
  const rows = database.prepare("SELECT count(*) AS rows, min(sequence) AS first FROM record").get();
  const last = database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'record'").get();
  const lastSequence = Number(last?.seq ?? 0);
  return {
    intents: intents.map((row) => ({
      json: String(row.json),
      outputBytes: Number(row.output_bytes),
      deltas: Number(row.deltas),
    })),
    prices: prices.map((row) => String(row.json)),
    rows: Number(rows?.rows),
    trimmedUpTo: typeof rows?.first === "number" ? rows.first - 1 : lastSequence,
    lastSequence,
  };
}

function toRow(row: Readonly<Record<string, unknown>>): JournalRow {
  const priceId = row.price_id;
  return {
    sequence: Number(row.sequence),
    table: row.target === "cost_record" ? "cost_record" : "request_log",
    json: String(row.json),
    priceId: typeof priceId === "string" ? priceId : undefined,
    writtenAtMs: Number(row.written_at_ms),
  };
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
