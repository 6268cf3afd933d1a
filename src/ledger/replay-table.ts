import type { DatabaseSync } from "node:sqlite";

/** Changes of what the journal remembers of repeatable calls, each under the 16 bytes that stand for key and request id. */
export type ReplayOperation =
  /** A call begins; what was remembered under the same key has expired. */
  | {
      readonly kind: "claim";
      readonly callKey: Uint8Array;
      readonly fingerprint: string;
      readonly nowMs: number;
      readonly expiresAtMs: number;
    }
  /** It has ended. Without an answer only that is remembered; of a call that was not claimed, nothing. */
  | {
      readonly kind: "conclude";
      readonly callKey: Uint8Array;
      /** False when it was interrupted: without an answer that is what remains to be known of it. */
      readonly ended: boolean;
      readonly sealed: Uint8Array | undefined;
      readonly nowMs: number;
      readonly expiresAtMs: number;
    }
  /** It was not made, or cost nothing: as if it had never been claimed. */
  | { readonly kind: "release"; readonly callKey: Uint8Array }
  /** Forgets some of what has expired. */
  | { readonly kind: "sweep"; readonly nowMs: number };

/** What is remembered of a call. */
export interface StoredReplay {
  readonly fingerprint: string;
  readonly concluded: boolean;
  /** Undefined when there is none any more, or never was. */
  readonly sealed: Uint8Array | undefined;
}

export interface ReplayLimits {
  /** Answers kept, in bytes; the oldest go first. */
  readonly maxBytes: number;
  /** Calls remembered; the oldest go first. */
  readonly maxClaims: number;
}

export interface ReplayTable {
  apply(operation: ReplayOperation): void;
  /** Forgets what expired or became too much by the operations since the last time. Call it before each commit. */
  sweep(): void;
  find(callKey: Uint8Array, nowMs: number): StoredReplay | undefined;
  /** Gives up the oldest answers, so that there is room for costs. */
  makeRoom(): void;
  /** Of all answers that are kept. */
  answerBytes(): number;
}

/**
 * Claims are small and in the order in which they expire. An answer's position is the number of bytes that were kept
 * before its end, so that the size of all is a subtraction. An answer that has gone leaves its claim behind.
 */
export const REPLAY_SCHEMA = `
  CREATE TABLE IF NOT EXISTS claim (
    claim_id INTEGER PRIMARY KEY, call_key BLOB NOT NULL UNIQUE, fingerprint TEXT NOT NULL,
    concluded INTEGER NOT NULL, position INTEGER, expires_at_ms INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS answer (
    position INTEGER PRIMARY KEY, claim_id INTEGER NOT NULL, bytes INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL,
    sealed BLOB NOT NULL
  );`;

/** Rows of a table that a commit forgets at most besides as many as it added, so that none takes long. */
const SWEEP_ROWS = 64;
/** Counted for each answer besides its own bytes. */
const ANSWER_OVERHEAD_BYTES = 64;
/** Given up at once when the disk or the journal's limit is hit. */
const ROOM_BYTES = 33_554_432;

export function createReplayTable(database: DatabaseSync, limits: ReplayLimits): ReplayTable {
  const insertClaim = database.prepare(
    `INSERT OR REPLACE INTO claim (call_key, fingerprint, concluded, expires_at_ms) VALUES (?, ?, 0, ?)`,
  );
  const release = database.prepare("DELETE FROM claim WHERE call_key = ?");
  const select = database.prepare(
    `SELECT claim.claim_id, fingerprint, concluded, claim.expires_at_ms, sealed,
       answer.expires_at_ms AS answer_expires_at_ms
     FROM claim LEFT JOIN answer ON answer.position = claim.position AND answer.claim_id = claim.claim_id
     WHERE call_key = ?`,
  );
  const conclude = database.prepare(
    "UPDATE claim SET concluded = ?, position = ? WHERE call_key = ? RETURNING claim_id",
  );
  const insertAnswer = database.prepare("INSERT INTO answer VALUES (?, ?, ?, ?, ?)");
  const sweepClaims = createSweep(database, { table: "claim", order: "claim_id", size: "1" });
  const sweepAnswers = createSweep(database, { table: "answer", order: "position", size: "bytes" });
  const makeRoom = database.prepare(
    "DELETE FROM answer WHERE position <= (SELECT min(position - bytes) FROM answer) + ?",
  );
  const answerBytes = database.prepare(
    `SELECT (SELECT max(position) FROM answer)
       - (SELECT position - bytes FROM answer ORDER BY position LIMIT 1) AS bytes`,
  );

  const last = database.prepare("SELECT max(position) AS position FROM answer").get();
  let position = Number(last?.position ?? 0);
  let [claimed, answered, sweepAtMs] = [0, 0, 0];

  return {
    apply(operation) {
      if (operation.kind !== "release") sweepAtMs = operation.nowMs;
      switch (operation.kind) {
        case "claim":
          claimed += 1;
          return void insertClaim.run(operation.callKey, operation.fingerprint, operation.expiresAtMs);
        case "conclude": {
          const { callKey, ended, sealed, expiresAtMs } = operation;
          const bytes = (sealed?.byteLength ?? 0) + ANSWER_OVERHEAD_BYTES;
          const claim = conclude.get(Number(ended), sealed ? position + bytes : null, callKey);
          if (!claim || !sealed) return;
          position += bytes;
          answered += 1;
          return void insertAnswer.run(position, Number(claim.claim_id), bytes, expiresAtMs, sealed);
        }
        case "release":
          return void release.run(operation.callKey);
        case "sweep":
          return;
        default:
          return operation satisfies never;
      }
    },
    sweep() {
      if (sweepAtMs === 0) return;
      sweepClaims({ nowMs: sweepAtMs, maxSize: limits.maxClaims, maxRows: claimed + SWEEP_ROWS });
      sweepAnswers({ nowMs: sweepAtMs, maxSize: limits.maxBytes, maxRows: answered + SWEEP_ROWS });
      [claimed, answered, sweepAtMs] = [0, 0, 0];
    },
    find(callKey, nowMs) {
      const row = select.get(callKey);
      if (!row || Number(row.expires_at_ms) <= nowMs) return undefined;
      const kept = row.sealed instanceof Uint8Array && Number(row.answer_expires_at_ms) > nowMs;
      return {
        fingerprint: String(row.fingerprint),
        concluded: row.concluded === 1,
        sealed: kept ? (row.sealed as Uint8Array) : undefined,
      };
    },
    makeRoom: () => void makeRoom.run(ROOM_BYTES),
    answerBytes: () => Number(answerBytes.get()?.bytes ?? 0),
  };
}

/**
 * Forgets rows from the oldest on: those that have expired, and those that are too many. Looks at one row only when
 * there is nothing to forget, which is nearly always.
 */
function createSweep(
  database: DatabaseSync,
  { table, order, size }: { readonly table: string; readonly order: string; readonly size: string },
): (limits: { readonly nowMs: number; readonly maxSize: number; readonly maxRows: number }) => void {
  const due = `expires_at_ms <= ?1 OR ${order} - ${size} < (SELECT max(${order}) FROM ${table}) - ?2`;
  const look = database.prepare(`SELECT ${due} AS due FROM ${table} ORDER BY ${order} LIMIT 1`);
  const sweep = database.prepare(
    `DELETE FROM ${table} WHERE ${order} IN (
       SELECT ${order} FROM (SELECT * FROM ${table} ORDER BY ${order} LIMIT ?3) WHERE ${due}
     )`,
  );
  return ({ nowMs, maxSize, maxRows }) => {
    if (look.get(nowMs, maxSize)?.due === 1) sweep.run(nowMs, maxSize, maxRows);
  };
}
