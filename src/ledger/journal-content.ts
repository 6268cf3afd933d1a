import type { DatabaseSync } from "node:sqlite";
import type { JournalLog, OpenIntent } from "./journal-log.ts";

/** What a journal holds when it is opened. */
export interface JournalContent {
  /** Attempts without an outcome; all of them belong to a process that is no more. */
  readonly intents: readonly OpenIntent[];
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
export function readContent(database: DatabaseSync, log: JournalLog): Omit<JournalContent, "usedBytes"> {
  const { intents, priceIds } = log.content();
  const { trimmedUpTo, lastSequence } = log;
  const stored = database.prepare("SELECT price_id, json FROM price").all();
  const forget = database.prepare("DELETE FROM price WHERE price_id = ?");
  const isNamed = (price: { readonly price_id?: unknown }) => priceIds.has(String(price.price_id));
  for (const price of stored) if (!isNamed(price)) forget.run(String(price.price_id));
  const prices = stored.filter(isNamed).map((price) => String(price.json));
  return { intents, prices, rows: lastSequence - trimmedUpTo, trimmedUpTo, lastSequence };
}
