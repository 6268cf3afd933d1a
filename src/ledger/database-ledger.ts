import { GatewayError } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import type { AttemptIntent, AttemptOutcome, Ledger, RequestLogEntry } from "../core/ledger.ts";
import type { Price } from "../core/price.ts";
import { type BatchStatistics, createBatchWriter, type WriteFailure } from "./batch-writer.ts";
import type { LedgerDatabase } from "./ledger-database.ts";
import { assertStorable, chargeToJson, priceToJson, requestToJson } from "./stored-rows.ts";
import { WRITE_STATEMENT, WRITE_STATEMENT_NAME } from "./write-statement.ts";

export interface DatabaseLedgerOptions {
  /** Attempts that may be open or waiting to be written, together, before `open` refuses. @default 10,000 */
  readonly maxPending?: number;
  /** Rows in one transaction at most. @default 500 */
  readonly maxBatchRows?: number;
  /** Pauses between tries while the database fails. @default 50 ms, doubling to 2 s */
  readonly retryDelayMs?: { readonly first: number; readonly max: number };
  /** After each batch that became durable. */
  readonly onBatch?: (batch: BatchStatistics) => void;
  /** After each write that failed; everything in it is kept. */
  readonly onWriteError?: (error: unknown, failure: WriteFailure) => void;
  /** The database refuses this row for ever. `json` is the whole row, so that a log can keep it. */
  readonly onRejected?: (error: unknown, row: RejectedRow) => void;
}

export interface RejectedRow {
  readonly table: "cost_record" | "request_log";
  readonly json: string;
}

/** A ledger whose records are durable in the database before `settle` and `finish` resolve. */
export interface DatabaseLedger extends Ledger {
  /** Rows that are accepted and not durable yet. */
  readonly depth: number;
  /** How long the oldest of them has been waiting; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** Attempts that were opened and not settled. */
  readonly openAttempts: number;
  /** Refuses new attempts, waits until everything accepted is durable. The database stays open. */
  close(): Promise<void>;
}

export const DEFAULT_MAX_PENDING = 10_000;
export const DEFAULT_MAX_BATCH_ROWS = 500;
export const DEFAULT_RETRY_DELAY_MS = { first: 50, max: 2_000 };
/** Ids of prices that are known to be stored; past this the set starts anew, which costs a few repeated inserts. */
const MAX_KNOWN_PRICES = 10_000;

type Entry = RejectedRow & { readonly priceId: string | undefined };

export function createDatabaseLedger(
  database: Pick<LedgerDatabase, "query">,
  options: DatabaseLedgerOptions = {},
): DatabaseLedger {
  const maxPending = options.maxPending ?? DEFAULT_MAX_PENDING;
  const openAttempts = new Set<string>();
  const prices = createPriceRows();
  let closed = false;

  const writer = createBatchWriter<Entry>({
    write: (entries) => writeBatch(database, entries, prices),
    isEntryError,
    maxBatchRows: options.maxBatchRows ?? DEFAULT_MAX_BATCH_ROWS,
    retryDelayMs: options.retryDelayMs ?? DEFAULT_RETRY_DELAY_MS,
    onBatch: options.onBatch ?? (() => {}),
    onWriteError: options.onWriteError ?? (() => {}),
    onRejected: (error, { table, json }) => options.onRejected?.(error, { table, json }),
  });

  const isFull = (): boolean => openAttempts.size + writer.depth >= maxPending;
  const isReady = (): boolean => !closed && !writer.failing && !isFull();

  return {
    async open(intent: AttemptIntent): Promise<void> {
      if (!isReady()) throw unavailable();
      assertStorable(intent);
      prices.remember(intent.price);
      openAttempts.add(intent.attemptId);
    },
    async settle(outcome: AttemptOutcome): Promise<void> {
      openAttempts.delete(outcome.intent.attemptId);
      const { price } = outcome.intent;
      prices.remember(price);
      await writer.add({ table: "cost_record", json: chargeToJson(outcome), priceId: price?.priceId });
    },
    async finish(entry: RequestLogEntry): Promise<void> {
      // A request that spent nothing was never bounded by `open`.
      if (entry.attempts === 0 && (closed || isFull())) throw unavailable();
      await writer.add({ table: "request_log", json: requestToJson(newId(), entry), priceId: undefined });
    },
    flush: () => writer.flush(),
    async close() {
      closed = true;
      await writer.flush();
    },
    get ready() {
      return isReady();
    },
    get depth() {
      return writer.depth;
    },
    get oldestAgeMs() {
      return writer.oldestAgeMs;
    },
    get openAttempts() {
      return openAttempts.size;
    },
  };
}

const unavailable = () => new GatewayError("LEDGER_UNAVAILABLE", "the ledger cannot take a record now");

async function writeBatch(
  database: Pick<LedgerDatabase, "query">,
  entries: readonly Entry[],
  prices: PriceRows,
): Promise<void> {
  const records: string[] = [];
  const requests: string[] = [];
  const newPrices = new Map<string, string>();
  for (const { table, json, priceId } of entries) {
    (table === "cost_record" ? records : requests).push(json);
    const price = priceId === undefined ? undefined : prices.notStored(priceId);
    if (priceId !== undefined && price !== undefined) newPrices.set(priceId, price);
  }
  const parameters = [records, requests, [...newPrices.values()]].map((rows) => `[${rows.join(",")}]`);
  await database.query(WRITE_STATEMENT, parameters, WRITE_STATEMENT_NAME);
  for (const priceId of newPrices.keys()) prices.stored(priceId);
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
