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
import { createLedgerMonths } from "./ledger-months.ts";
import { monthOf, priceToJson } from "./stored-rows.ts";
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
  readonly onRejected?: (error: unknown, row: LedgerRow) => void;
  /**
   * These rows came after retention had dropped their month. They are in `ledger_late_row`, and in no sum: that they
   * are not there already cannot be known any more.
   */
  readonly onLate?: (rows: readonly LedgerRow[]) => void;
  /** Once aborted, what is not written is given up: its `add` rejects. */
  readonly signal?: AbortSignal;
}

/** A row as the journal and the log keep it. */
export interface LedgerRow {
  readonly table: JournalTable;
  readonly json: string;
}

export type DatabaseRow = LedgerRow & { readonly priceId: string | undefined };

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

/**
 * Writes rows in batches, and with them the prices that they name and that were remembered before. The months that the
 * rows belong to are made when they are not there.
 */
export function createDatabaseWriter(
  database: Pick<LedgerDatabase, "query">,
  options: DatabaseWriterOptions,
): DatabaseWriter {
  const prices = createPriceRows();
  const months = createLedgerMonths(database);
  const { onLate = () => {} } = options;
  const write = async (rows: readonly DatabaseRow[]): Promise<void> => {
    const dropped = await months.ensure(monthsOf(rows));
    const isLate = ({ json }: DatabaseRow): boolean => dropped.has(monthOf(json) ?? "");
    const late = dropped.size > 0 ? rows.filter(isLate) : [];
    if (late.length > 0) await keepLateRows(database, late);
    await writeBatch(database, late.length > 0 ? rows.filter((row) => !isLate(row)) : rows, prices);
    if (late.length > 0) onLate(late.map(({ table, json }) => ({ table, json })));
  };
  const writer = createBatchWriter<DatabaseRow>({
    write: async (rows) => {
      try {
        await write(rows);
      } catch (error) {
        if (!isMonthMissing(error)) throw error;
        // Another process has dropped it since this one saw it.
        months.forget();
        await write(rows);
      }
    },
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

function monthsOf(rows: readonly DatabaseRow[]): ReadonlySet<string> {
  const months = new Set<string>();
  for (const { json } of rows) {
    const month = monthOf(json);
    if (month !== undefined) months.add(month);
  }
  return months;
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

/** Once each, like everything else; a late outcome, whose id is that of its charge, gets one of its own. */
async function keepLateRows(
  database: Pick<LedgerDatabase, "query">,
  rows: readonly DatabaseRow[],
): Promise<void> {
  const contents = rows.map(({ table, json }) => `{"table_name":"${table}","content":${json}}`);
  await database.query(
    `INSERT INTO ledger_late_row (row_id, table_name, occurred_at, content)
     SELECT CASE table_name WHEN 'late_outcome' THEN md5('late outcome ' || (content ->> 'record_id'))::uuid
         ELSE coalesce(content ->> 'record_id', content ->> 'request_log_id')::uuid END, table_name,
       (content ->> 'occurred_at')::timestamptz, content
     FROM json_to_recordset($1::json) AS input (table_name text, content jsonb)
     ON CONFLICT (row_id) DO NOTHING`,
    [`[${contents.join(",")}]`],
  );
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

/** A row whose partition is not there: PostgreSQL reports a check violation, but of no constraint. */
function isMonthMissing(error: unknown): boolean {
  if (!(error instanceof Error && "code" in error) || error.code !== "23514") return false;
  return !("constraint" in error) || error.constraint === undefined;
}
