import type { Price } from "../core/price.ts";
import {
  type BatchStatistics,
  type BatchWriter,
  createBatchWriter,
  type WriteFailure,
} from "./batch-writer.ts";
import { type CorrectionState, LATE_OUTCOME_STATEMENT } from "./correction-statement.ts";
import type { JournalTable } from "./journal-store.ts";
import type { LedgerDatabase } from "./ledger-database.ts";
import { priceToJson } from "./stored-rows.ts";
import { WRITE_STATEMENT, WRITE_STATEMENT_NAME } from "./write-statement.ts";

export interface DatabaseWriterOptions {
  /** Rows in one transaction at most. @default 500 */
  readonly maxBatchRows?: number;
  /** Pauses between tries while the database fails. @default 50 ms, doubling to 2 s */
  readonly retryDelayMs?: { readonly first: number; readonly max: number };
  /** After each batch that the database took. */
  readonly onBatch?: (batch: BatchStatistics) => void;
  /** After each write that failed; everything in it is kept. */
  readonly onWriteError?: (error: unknown, failure: WriteFailure) => void;
  /** The database refuses this row for ever. `json` is the whole row, so that a log can keep it. */
  readonly onRejected?: (error: unknown, row: RejectedRow) => void;
  /** Once aborted, what is not written is given up: its `add` rejects. */
  readonly signal?: AbortSignal;
}

export interface RejectedRow {
  readonly table: JournalTable;
  readonly json: string;
}

export type DatabaseRow = RejectedRow & { readonly priceId: string | undefined };

export interface DatabaseWriter {
  readonly writer: BatchWriter<DatabaseRow>;
  readonly prices: Pick<PriceRows, "remember">;
}

export const DEFAULT_MAX_BATCH_ROWS = 500;
export const DEFAULT_RETRY_DELAY_MS = { first: 50, max: 2_000 };
/** A correction that lost to another one is tried again at once, on top of that one. */
const MAX_CORRECTION_TRIES = 5;
/** Ids of prices that are known to be stored; past this the set starts anew, which costs a few repeated inserts. */
const MAX_KNOWN_PRICES = 10_000;

/** Writes rows in batches, and with them the prices that they name and that were remembered before. */
export function createDatabaseWriter(
  database: Pick<LedgerDatabase, "query">,
  options: DatabaseWriterOptions,
): DatabaseWriter {
  const prices = createPriceRows();
  const writer = createBatchWriter<DatabaseRow>({
    write: (rows) => writeBatch(database, rows, prices),
    isEntryError,
    maxBatchRows: options.maxBatchRows ?? DEFAULT_MAX_BATCH_ROWS,
    retryDelayMs: options.retryDelayMs ?? DEFAULT_RETRY_DELAY_MS,
    onBatch: options.onBatch ?? (() => {}),
    onWriteError: options.onWriteError ?? (() => {}),
    onRejected: (error, { table, json }) => options.onRejected?.(error, { table, json }),
    signal: options.signal,
  });
  return { writer, prices };
}

async function writeBatch(
  database: Pick<LedgerDatabase, "query">,
  entries: readonly DatabaseRow[],
  prices: PriceRows,
): Promise<void> {
  const newPrices = new Map<string, string>();
  for (const { priceId } of entries) {
    const price = priceId === undefined ? undefined : prices.notStored(priceId);
    if (priceId !== undefined && price !== undefined) newPrices.set(priceId, price);
  }
  const rowsOf = (table: JournalTable): readonly string[] =>
    entries.filter((entry) => entry.table === table).map((entry) => entry.json);
  const parameters = [rowsOf("cost_record"), rowsOf("request_log"), [...newPrices.values()]].map(toJsonArray);
  await database.query(WRITE_STATEMENT, parameters, WRITE_STATEMENT_NAME);
  for (const priceId of newPrices.keys()) prices.stored(priceId);
  // After the charges: a charge and its correction may be in one batch.
  const corrections = rowsOf("late_outcome");
  if (corrections.length > 0) await correct(database, corrections);
}

const toJsonArray = (rows: readonly string[]): string => `[${rows.join(",")}]`;

async function correct(
  database: Pick<LedgerDatabase, "query">,
  corrections: readonly string[],
): Promise<void> {
  for (let tries = 1; ; tries++) {
    // What was applied meanwhile says `done`.
    const rows = await database.query(LATE_OUTCOME_STATEMENT, [toJsonArray(corrections)]);
    const states = new Set(rows.map((row) => row.state as CorrectionState));
    if (states.has("missing")) throw new MissingChargeError();
    if (!states.has("conflict")) return;
    if (tries === MAX_CORRECTION_TRIES) throw new Error("other corrections keep coming first");
  }
}

/** A correction of an attempt that the ledger does not have; its code blames the row (foreign key violation). */
class MissingChargeError extends Error {
  override readonly name = "MissingChargeError";
  readonly code = "23503";

  constructor() {
    super("a late outcome of an attempt that the ledger does not have");
  }
}

type PriceRows = ReturnType<typeof createPriceRows>;

/** The rows of prices that are not known to be stored yet. They are made early, where an error costs nothing. */
function createPriceRows() {
  const storedIds = new Set<string>();
  const jsonById = new Map<string, string>();
  return {
    remember(price: Price | undefined): void {
      if (!price || storedIds.has(price.priceId) || jsonById.has(price.priceId)) return;
      jsonById.set(price.priceId, priceToJson(price));
    },
    notStored: (priceId: string): string | undefined => jsonById.get(priceId),
    stored(priceId: string): void {
      if (storedIds.size >= MAX_KNOWN_PRICES) storedIds.clear();
      storedIds.add(priceId);
      jsonById.delete(priceId);
    },
  };
}

/**
 * SQLSTATE classes that blame the data: data exception, integrity constraint violation, program limit exceeded
 * (https://www.postgresql.org/docs/18/errcodes-appendix.html). Everything else may pass.
 */
function isEntryError(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    /^(22|23|54)...$/.test(error.code)
  );
}
