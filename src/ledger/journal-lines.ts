import type { JournalOperation } from "./journal-store.ts";

/** What the journal's log takes as a line of text; the other operations change its tables. */
export type JournalLine = Extract<JournalOperation, { kind: "open" | "discard" | "checkpoint" | "row" }>;

/** Some lines, each with a line feed at its end. */
export interface JournalPiece {
  readonly lines: string;
  readonly rows: number;
  /** The attempts that it opens. */
  readonly opened: readonly string[];
  /** Those of which it tells what they have received. */
  readonly noted: readonly string[];
  /** Those that it ends. */
  readonly ended: readonly string[];
}

/** What one commit writes: mostly a long text, since that is what costs least on the way to the file. */
export interface JournalBatch {
  readonly pieces: readonly JournalPiece[];
  readonly others: readonly Exclude<JournalOperation, JournalLine>[];
}

/** A piece is not much longer, so that what is read and written at once stays small. */
const PIECE_CHARACTERS = 65_536;

/** Their order is kept among the lines and among the others; where both are about one attempt, the lines come first. */
export function packOperations(operations: readonly JournalOperation[]): JournalBatch {
  const pieces: JournalPiece[] = [];
  const others: JournalBatch["others"][number][] = [];
  let piece = newPiece();
  for (const operation of operations) {
    switch (operation.kind) {
      case "open":
        piece.opened.push(operation.attemptId);
        break;
      case "checkpoint":
        piece.noted.push(operation.attemptId);
        break;
      case "discard":
        piece.ended.push(operation.attemptId);
        break;
      case "row":
        piece.rows += 1;
        if (operation.attemptId !== undefined) piece.ended.push(operation.attemptId);
        break;
      default:
        others.push(operation);
        continue;
    }
    piece.lines += toLine(operation);
    if (piece.lines.length < PIECE_CHARACTERS) continue;
    pieces.push(piece);
    piece = newPiece();
  }
  if (piece.lines !== "") pieces.push(piece);
  return { pieces, others };
}

const newPiece = () => ({
  ...{ lines: "", rows: 0 },
  opened: [] as string[],
  noted: [] as string[],
  ended: [] as string[],
});

/** Fields are separated by tabs. JSON text has neither tabs nor line feeds in it; identifiers that might are JSON, too. */
function toLine(operation: JournalLine): string {
  switch (operation.kind) {
    case "open":
      return `open\t${operation.attemptId}\t${operation.json}\n`;
    case "row": {
      const { table, attemptId = "", priceId, json } = operation;
      return `${table}\t${attemptId}\t${priceId === undefined ? "" : JSON.stringify(priceId)}\t${json}\n`;
    }
    case "checkpoint":
      return `checkpoint\t${operation.attemptId}\t${operation.outputBytes}\t${operation.deltas}\n`;
    case "discard":
      return `discard\t${operation.attemptId}\n`;
    default:
      return operation satisfies never;
  }
}

/** @throws TypeError for what is no piece of a log */
export function* parseLines(lines: string): Generator<JournalLine> {
  for (let from = 0; from < lines.length; ) {
    const end = lines.indexOf("\n", from);
    if (end < 0) throw new TypeError("a line of the journal has no end");
    yield parseLine(lines.slice(from, end));
    from = end + 1;
  }
}

function parseLine(line: string): JournalLine {
  const [kind = "", attemptId = "", third = "", ...rest] = line.split("\t");
  switch (kind) {
    case "open":
      return { kind, attemptId, json: third };
    case "discard":
      return { kind, attemptId };
    case "checkpoint":
      return { kind, attemptId, outputBytes: Number(third), deltas: Number(rest[0]) };
    case "cost_record":
    case "request_log":
    case "late_outcome":
      return {
        kind: "row",
        table: kind,
        attemptId: attemptId === "" ? undefined : attemptId,
        priceId: third === "" ? undefined : (JSON.parse(third) as string),
        json: rest[0] ?? "",
      };
    default:
      throw new TypeError(`the journal has a line that begins with ${kind.slice(0, 20)}`);
  }
}
