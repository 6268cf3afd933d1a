import type { DatabaseSync } from "node:sqlite";

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
  readonly usedBytes: number;
}

/** Reads the file of a journal, and forgets prices that nothing in it names. */
export function readContent(database: DatabaseSync): Omit<JournalContent, "usedBytes"> {
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
