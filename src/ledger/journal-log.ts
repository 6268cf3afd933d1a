import type { DatabaseSync } from "node:sqlite";
import { type JournalLine, type JournalPiece, packOperations, parseLines } from "./journal-lines.ts";
import type { JournalRow, JournalTable } from "./journal-store.ts";

/**
 * What was committed last, as text: a piece or more for each commit. Once its rows are in the database, a piece is
 * folded into the table of intents: what it opened and nothing has ended yet is put there, and what it ended is taken
 * out. So an attempt that is over soon is never a row of that table, which would cost more than all else.
 */
export const LOG_SCHEMA = `
  CREATE TABLE IF NOT EXISTS log (
    piece_id INTEGER PRIMARY KEY, last_sequence INTEGER NOT NULL, rows INTEGER NOT NULL,
    written_at_ms INTEGER NOT NULL, lines TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS log_last_sequence ON log (last_sequence);
  CREATE TABLE IF NOT EXISTS intent (
    attempt_id TEXT PRIMARY KEY, json TEXT NOT NULL, output_bytes INTEGER NOT NULL, deltas INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS trimmed (only_row INTEGER PRIMARY KEY, up_to INTEGER NOT NULL);`;

/** An attempt without an outcome, and what it had received when that was last told. */
export interface OpenIntent {
  readonly json: string;
  readonly outputBytes: number;
  readonly deltas: number;
}

export interface JournalLog {
  /** Of the last row. A transaction that is rolled back makes it wrong: then open the log anew. */
  readonly lastSequence: number;
  /** The sequence up to which rows are forgotten. */
  readonly trimmedUpTo: number;
  append(pieces: readonly JournalPiece[]): void;
  /** Forgets rows up to a sequence, but reads and folds no more than so many pieces; false when some are left. */
  trim(upTo: number, maxPieces: number): boolean;
  /** Rows after a sequence, in their order. */
  read(afterSequence: number, limit: number): JournalRow[];
  /** Everything: the attempts without an outcome, by their ids, and the prices that they and the rows name. */
  content(): { readonly intents: readonly OpenIntent[]; readonly priceIds: ReadonlySet<string> };
}

export function openJournalLog(database: DatabaseSync): JournalLog {
  moveOldRecords(database);
  const insert = database.prepare(
    "INSERT INTO log (last_sequence, rows, written_at_ms, lines) VALUES (?, ?, ?, ?)",
  );
  const oldest = database.prepare(
    "SELECT piece_id, last_sequence FROM log WHERE last_sequence <= ? ORDER BY piece_id LIMIT ?",
  );
  const remove = database.prepare("DELETE FROM log WHERE piece_id <= ?");
  const setTrimmed = database.prepare("INSERT OR REPLACE INTO trimmed VALUES (1, ?)");
  const select = database.prepare(
    `SELECT last_sequence, rows, written_at_ms, lines FROM log
     WHERE last_sequence > ? AND rows > 0 ORDER BY last_sequence`,
  );
  const intents = prepareIntents(database);
  let trimmedUpTo = numberOf(database, "SELECT up_to AS value FROM trimmed");
  let lastSequence = Math.max(trimmedUpTo, numberOf(database, "SELECT max(last_sequence) AS value FROM log"));

  return {
    get lastSequence() {
      return lastSequence;
    },
    get trimmedUpTo() {
      return trimmedUpTo;
    },
    append(pieces) {
      for (const piece of pieces) {
        lastSequence += piece.rows;
        const { lastInsertRowid } = insert.run(lastSequence, piece.rows, Date.now(), piece.lines);
        intents.appended(Number(lastInsertRowid), piece);
      }
    },
    trim(upTo, maxPieces) {
      const pieces = oldest.all(upTo, maxPieces);
      const last = pieces.at(-1);
      if (last !== undefined) {
        intents.fold(pieces.map(({ piece_id }) => Number(piece_id)));
        remove.run(Number(last.piece_id));
      }
      const isDone = pieces.length < maxPieces;
      // With the last piece its sequence goes, and none may be used again.
      const reached = isDone ? upTo : Number(last?.last_sequence);
      if (reached > trimmedUpTo) {
        trimmedUpTo = reached;
        setTrimmed.run(reached);
      }
      return isDone;
    },
    read: (afterSequence, limit) => {
      const after = Math.max(afterSequence, trimmedUpTo);
      return readRows(select.iterate(after), after, limit);
    },
    content() {
      const open = intents.all();
      const priceIds = new Set<string>();
      for (const piece of database.prepare("SELECT lines FROM log ORDER BY piece_id").iterate()) {
        for (const line of parseLines(String(piece.lines))) {
          applyLine(open, line);
          if (line.kind === "row" && line.priceId !== undefined) priceIds.add(line.priceId);
        }
      }
      for (const { json } of open.values()) {
        const { priceId } = Object(JSON.parse(json)) as { readonly priceId?: string };
        if (priceId !== undefined) priceIds.add(priceId);
      }
      const inOrder = [...open].toSorted(([a], [b]) => (a < b ? -1 : 1));
      return { intents: inOrder.map(([, intent]) => intent), priceIds };
    },
  };
}

/** The rows among the lines of some pieces. */
function readRows(
  pieces: Iterable<Readonly<Record<string, unknown>>>,
  after: number,
  limit: number,
): JournalRow[] {
  const rows: JournalRow[] = [];
  for (const piece of pieces) {
    let sequence = Number(piece.last_sequence) - Number(piece.rows);
    for (const line of parseLines(String(piece.lines))) {
      if (line.kind !== "row") continue;
      sequence += 1;
      if (sequence <= after) continue;
      if (rows.length === limit) return rows;
      const { table, json, priceId } = line;
      rows.push({ sequence, table, json, priceId, writtenAtMs: Number(piece.written_at_ms) });
    }
  }
  return rows;
}

type Intents = Map<string, OpenIntent>;

/** What a line does to the attempts that are open. */
function applyLine(open: Intents, line: JournalLine): void {
  if (line.attemptId === undefined) return;
  const intent = open.get(line.attemptId);
  switch (line.kind) {
    case "open":
      if (!intent) open.set(line.attemptId, { json: line.json, outputBytes: 0, deltas: 0 });
      break;
    case "checkpoint":
      if (intent) open.set(line.attemptId, { ...intent, outputBytes: line.outputBytes, deltas: line.deltas });
      break;
    default:
      open.delete(line.attemptId);
  }
}

/** The table of intents, and what is known of attempts that may have to go there. */
function prepareIntents(database: DatabaseSync) {
  const insert = database.prepare("INSERT OR IGNORE INTO intent VALUES (?, ?, ?, ?)");
  const update = database.prepare("UPDATE intent SET output_bytes = ?, deltas = ? WHERE attempt_id = ?");
  const remove = database.prepare("DELETE FROM intent WHERE attempt_id = ?");
  const select = database.prepare("SELECT attempt_id, json, output_bytes, deltas FROM intent");
  const linesOf = database.prepare("SELECT lines FROM log WHERE piece_id = ?");
  /** What was appended since this opening of the file, without the text. Older pieces have to be read. */
  const appended = new Map<number, Pick<JournalPiece, "opened" | "noted" | "ended">>();
  /** The attempts that those opened, until what ends them is folded. For others the table has to be asked. */
  const known = new Map<string, { ended: boolean; inTable: boolean }>();

  const hasEnded = (attemptId: string): boolean => known.get(attemptId)?.ended ?? false;

  /** What ends an attempt is folded. */
  function end(attemptId: string, open: Intents): void {
    const attempt = known.get(attemptId);
    known.delete(attemptId);
    if (!open.delete(attemptId) && (!attempt || attempt.inTable)) remove.run(attemptId);
  }

  function foldLine(line: JournalLine, open: Intents): void {
    if (line.attemptId === undefined) return;
    if (line.kind === "row" || line.kind === "discard") end(line.attemptId, open);
    else if (hasEnded(line.attemptId)) return;
    else if (line.kind === "open" || open.has(line.attemptId)) applyLine(open, line);
    else update.run(line.outputBytes, line.deltas, line.attemptId);
  }

  return {
    appended(pieceId: number, { opened, noted, ended }: JournalPiece): void {
      appended.set(pieceId, { opened, noted, ended });
      for (const attemptId of opened) known.set(attemptId, { ended: false, inTable: false });
      for (const attemptId of ended) {
        const attempt = known.get(attemptId);
        if (attempt) attempt.ended = true;
      }
    },
    /** Applies pieces of the log, the oldest ones. Those whose attempts have all ended need not be read for that. */
    fold(pieceIds: readonly number[]): void {
      const open: Intents = new Map();
      for (const pieceId of pieceIds) {
        const piece = appended.get(pieceId);
        appended.delete(pieceId);
        const isOver = piece?.opened.every(hasEnded) && piece.noted.every(hasEnded);
        if (piece && isOver) for (const attemptId of piece.ended) end(attemptId, open);
        else for (const line of parseLines(String(linesOf.get(pieceId)?.lines))) foldLine(line, open);
      }
      for (const [attemptId, { json, outputBytes, deltas }] of open) {
        insert.run(attemptId, json, outputBytes, deltas);
        const attempt = known.get(attemptId);
        if (attempt) attempt.inTable = true;
      }
    },
    all: (): Intents =>
      new Map(
        select.all().map((row) => [
          String(row.attempt_id),
          {
            json: String(row.json),
            outputBytes: Number(row.output_bytes),
            deltas: Number(row.deltas),
          },
        ]),
      ),
  };
}

/**
 * Rows were kept in a table of their own once. Where an earlier build was used in between, there are pieces of the log as
 * well: then the rows follow them, under new sequences.
 */
function moveOldRecords(database: DatabaseSync): void {
  if (!database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'record'").get()) return;
  const insert = database.prepare("INSERT INTO log VALUES (NULL, ?, 1, ?, ?)");
  database.exec("BEGIN IMMEDIATE");
  const first = numberOf(database, "SELECT min(sequence) AS value FROM record");
  const last = numberOf(database, "SELECT seq AS value FROM sqlite_sequence WHERE name = 'record'");
  const isAlone = !database.prepare("SELECT 1 FROM log").get();
  let sequence = first > 0 ? first - 1 : last;
  if (isAlone) database.exec(`INSERT OR REPLACE INTO trimmed VALUES (1, ${sequence})`);
  else sequence = numberOf(database, "SELECT max(last_sequence) AS value FROM log");
  for (const record of database.prepare("SELECT * FROM record ORDER BY sequence").iterate()) {
    const priceId = record.price_id === null ? undefined : String(record.price_id);
    const json = String(record.json);
    const table = record.target as JournalTable;
    const { pieces } = packOperations([{ kind: "row", table, json, priceId, attemptId: undefined }]);
    sequence += 1;
    insert.run(sequence, Number(record.written_at_ms), pieces[0]?.lines ?? "");
  }
  database.exec("DROP TABLE record; COMMIT");
}

/** The column `value` of the first row; 0 when there is none. */
const numberOf = (database: DatabaseSync, sql: string): number =>
  Number(database.prepare(sql).get()?.value ?? 0);
