import { GatewayError } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import type { AttemptIntent, AttemptOutcome, Ledger, RequestLogEntry } from "../core/ledger.ts";
import type { Price } from "../core/price.ts";
import type { Claim, Ending } from "../core/replay.ts";
import type { Journal } from "./journal.ts";
import type { JournalView } from "./journal-check.ts";
import { encodeIntent, encodePrice } from "./journal-codec.ts";
import type { JournalOperation } from "./journal-store.ts";
import type { LedgerDatabase } from "./ledger-database.ts";
import { type Recovered, type RecoveryOptions, recoverJournal } from "./recover-journal.ts";
import { createShipper, type ShipperOptions } from "./shipper.ts";
import { assertStorable, chargeToJson, requestToJson } from "./stored-rows.ts";

export interface JournalLedgerOptions extends ShipperOptions, RecoveryOptions {
  /** Belongs to this ledger from now on: `close` closes it. */
  readonly journal: Journal;
  readonly database: Pick<LedgerDatabase, "query" | "sync">;
  /** Attempts that may be open, or waiting for the journal, before `open` refuses. @default 10,000 */
  readonly maxPending?: number;
  /** Rows that may wait in the journal for the database before `open` refuses. @default 200,000 */
  readonly maxUnshipped?: number;
  /** What the journal may hold before `open` refuses; its file must have room for more. @default 1 GiB */
  readonly maxJournalBytes?: number;
  /**
   * False until the database's schema was seen: `open` refuses, since a newer one might refuse what would have been
   * spent. @default always true
   */
  readonly isSchemaKnown?: () => boolean;
  /** Told once, before the first attempt, if there was anything. */
  readonly onRecovered?: (recovered: Recovered) => void;
}

/** A ledger whose records are durable in the journal before `settle` and `finish` resolve, and then get shipped. */
export interface JournalLedger extends Ledger {
  /** Rows that the database has not taken yet, with those that wait for the journal. */
  readonly depth: number;
  /** How long the oldest of them has been waiting; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** What the journal holds. */
  readonly journalBytes: number;
  /** Attempts that were opened and not settled. */
  readonly openAttempts: number;
  /** What the journal holds, for checks. */
  readonly journal: JournalView;
  /**
   * For reads of the database: resolves with true when it has taken what was acknowledged before; with false at once
   * while it takes nothing, and after two seconds at the latest.
   */
  caughtUp(): Promise<boolean>;
  /**
   * Refuses new attempts, makes everything accepted durable, ships for at most so long, and closes the journal. What
   * is left is for the next start. The database stays open.
   */
  close(timeoutMs?: number): Promise<void>;
}

export const DEFAULT_MAX_PENDING = 10_000;
/** Some 200 MB of journal; 200 s at 500 requests a second. */
export const DEFAULT_MAX_UNSHIPPED = 200_000;
export const DEFAULT_MAX_JOURNAL_BYTES = 1_024 ** 3;
const CATCH_UP_TIMEOUT_MS = 2_000;
const DEFAULT_CLOSE_TIMEOUT_MS = 10_000;

/** First settles what the last process left open, then ships while it takes new records. */
export async function createJournalLedger(options: JournalLedgerOptions): Promise<JournalLedger> {
  const { journal, replays, isSchemaKnown = () => true } = options;
  const shipper = createShipper(journal, options.database, options);
  const recovered = await recoverJournal(journal, options);
  for (const price of recovered.prices) shipper.remember(price);
  if (recovered.orphans > 0 || recovered.rows > 0) options.onRecovered?.(recovered);
  shipper.wake();

  // Their ids would be of no use, and to put strings that nobody has seen before into a Set costs as much as to encode one.
  let openAttempts = 0;
  const newPrices = createNewPrices((price) => shipper.remember(price));
  let closed = false;
  const findFull = createBounds(options, {
    pending: () => openAttempts + journal.depth,
    unshipped: () => shipper.unshipped,
    journalBytes: () => journal.usedBytes,
  });
  /** Why no attempt may begin, in words that callers may read. */
  const findObstacle = (): string | undefined => {
    if (closed) return "the ledger is being closed";
    if (!isSchemaKnown()) return "the database was not reached yet";
    if (journal.failing) return "the journal cannot be written";
    return findFull();
  };
  const wakeShipper = () => shipper.wake();
  const keep = (operations: readonly JournalOperation[]): Promise<void> =>
    journal.add(operations, "keep").then(wakeShipper);
  const keepCharge = async (
    { intent: { price } }: AttemptOutcome,
    charge: Omit<Extract<JournalOperation, { kind: "row" }>, "kind" | "priceId">,
  ): Promise<void> => {
    const row = { kind: "row", ...charge, priceId: price?.priceId } as const;
    await keep([...newPrices.toOperations(price), row]);
    newPrices.durable(price);
  };

  return {
    async open(intent: AttemptIntent, claim?: Claim): Promise<void> {
      const obstacle = findObstacle();
      if (obstacle !== undefined) throw unavailable(obstacle);
      assertStorable(intent);
      const { attemptId } = intent;
      openAttempts += 1;
      const operations = newPrices.toOperations(intent.price);
      operations.push({ kind: "open", attemptId, json: encodeIntent(intent) });
      if (claim && replays) operations.push(replays.claimOperation(claim));
      try {
        await journal.add(operations, "refuse");
        newPrices.durable(intent.price);
      } catch (error) {
        openAttempts -= 1;
        throw error;
      }
    },
    checkpoint(attemptId, { outputBytes, deltas }) {
      void journal.add([{ kind: "checkpoint", attemptId, outputBytes, deltas }], "drop");
    },
    async settle(outcome: AttemptOutcome): Promise<void> {
      const { attemptId } = outcome.intent;
      openAttempts = Math.max(0, openAttempts - 1);
      await keepCharge(outcome, { table: "cost_record", json: chargeToJson(outcome), attemptId });
    },
    async correct(outcome: AttemptOutcome): Promise<void> {
      const json = chargeToJson(outcome);
      await keepCharge(outcome, { table: "late_outcome", json, attemptId: undefined });
    },
    async finish(entry: RequestLogEntry, ending?: Ending): Promise<void> {
      // A request that spent nothing was never bounded by `open`, and must not take the room of those that did.
      const obstacle = findObstacle();
      if (entry.attempts === 0 && obstacle !== undefined) throw unavailable(obstacle);
      const json = requestToJson(newId(), entry);
      const row = {
        kind: "row",
        table: "request_log",
        json,
        priceId: undefined,
        attemptId: undefined,
      } as const;
      if (!ending || !replays) return await keep([row]);
      const end = replays.endOperation(ending);
      await keep([row, end]);
      replays.durable(ending.claim, end);
    },
    journal: {
      get shippedUpTo() {
        return shipper.shippedUpTo;
      },
      read: (afterSequence, limit) => journal.read(afterSequence, limit),
    },
    flush: () => journal.flush(),
    async caughtUp() {
      return !shipper.failing && (await shipper.shipped(CATCH_UP_TIMEOUT_MS));
    },
    async close(timeoutMs = DEFAULT_CLOSE_TIMEOUT_MS) {
      closed = true;
      replays?.stop();
      await journal.flush();
      await shipper.stop(timeoutMs);
      await journal.flush();
      await journal.close();
    },
    get ready() {
      return findObstacle() === undefined;
    },
    get depth() {
      return shipper.unshipped + journal.depth;
    },
    get oldestAgeMs() {
      return Math.max(shipper.oldestAgeMs, journal.oldestAgeMs);
    },
    get journalBytes() {
      return journal.usedBytes;
    },
    get openAttempts() {
      return openAttempts;
    },
  };
}

const unavailable = (why: string) =>
  new GatewayError("LEDGER_UNAVAILABLE", `the ledger cannot take a record now: ${why}`);

/** Finds the bound that is reached, in words, if one is. */
function createBounds(
  options: Pick<JournalLedgerOptions, "maxPending" | "maxUnshipped" | "maxJournalBytes">,
  amounts: Readonly<Record<"pending" | "unshipped" | "journalBytes", () => number>>,
): () => string | undefined {
  const { maxPending = DEFAULT_MAX_PENDING, maxUnshipped = DEFAULT_MAX_UNSHIPPED } = options;
  const { maxJournalBytes = DEFAULT_MAX_JOURNAL_BYTES } = options;
  return () => {
    if (amounts.pending() >= maxPending) return "too many attempts are under way";
    if (amounts.unshipped() >= maxUnshipped) return "too many records wait for the database";
    if (amounts.journalBytes() >= maxJournalBytes) return "the journal is as large as it may be";
    return undefined;
  };
}

/** Past this the set starts anew, which costs a few repeated inserts. */
const MAX_KNOWN_PRICES = 10_000;

/** The prices that are not in the journal yet: each goes there with the first record that names it. */
function createNewPrices(remember: (price: Price) => void) {
  const durableIds = new Set<string>();
  return {
    toOperations(price: Price | undefined): JournalOperation[] {
      if (!price || durableIds.has(price.priceId)) return [];
      remember(price);
      return [{ kind: "price", priceId: price.priceId, json: encodePrice(price) }];
    },
    durable(price: Price | undefined): void {
      if (!price || durableIds.has(price.priceId)) return;
      if (durableIds.size >= MAX_KNOWN_PRICES) durableIds.clear();
      durableIds.add(price.priceId);
    },
  };
}
