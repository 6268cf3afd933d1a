import { GatewayError } from "../../src/core/errors.ts";
import { newId } from "../../src/core/ids.ts";
import type { AttemptIntent, AttemptOutcome, Ledger, RequestLogEntry } from "../../src/core/ledger.ts";
import { createDatabaseWriter, type DatabaseWriterOptions } from "../../src/ledger/database-writer.ts";
import type { LedgerDatabase } from "../../src/ledger/ledger-database.ts";
import { assertStorable, chargeToJson, requestToJson } from "../../src/ledger/stored-rows.ts";

export interface DatabaseLedgerOptions extends DatabaseWriterOptions {
  /** Attempts that may be open or waiting to be written, together, before `open` refuses. @default 10,000 */
  readonly maxPending?: number;
}

/**
 * A ledger without a journal: records are durable in the database before `settle` and `finish` resolve, and a crash
 * loses the attempts that are open. For tests of the database, which so see at once what they wrote.
 */
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
export function createDatabaseLedger(
  database: Pick<LedgerDatabase, "query">,
  options: DatabaseLedgerOptions = {},
): DatabaseLedger {
  const maxPending = options.maxPending ?? DEFAULT_MAX_PENDING;
  const openAttempts = new Set<string>();
  let closed = false;
  const { writer, prices } = createDatabaseWriter(database, options);

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
    async correct(outcome: AttemptOutcome): Promise<void> {
      const { price } = outcome.intent;
      prices.remember(price);
      await writer.add({ table: "late_outcome", json: chargeToJson(outcome), priceId: price?.priceId });
    },
    async finish(entry: RequestLogEntry): Promise<void> {
      // A request that spent nothing was never bounded by `open`.
      if (entry.attempts === 0 && (closed || isFull())) throw unavailable();
      await writer.add({ table: "request_log", json: requestToJson(newId(), entry), priceId: undefined });
    },
    // Without a journal there is nowhere to keep it.
    checkpoint() {},
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
