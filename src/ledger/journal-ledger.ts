import { GatewayError } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import type { AttemptIntent, AttemptOutcome, Ledger, RequestLogEntry } from "../core/ledger.ts";
import type { Price } from "../core/price.ts";
import type { Claim, Ending } from "../core/replay.ts";
import type { Journal } from "./journal.ts";
import { encodeIntent, encodePrice } from "./journal-codec.ts";
import type { JournalOperation } from "./journal-store.ts";
import type { LedgerDatabase } from "./ledger-database.ts";
import { type Recovered, recoverJournal, type SettleOrphan } from "./recover-journal.ts";
import type { ReplayJournal } from "./replay-journal.ts";
import { createShipper, type ShipperOptions } from "./shipper.ts";
import { assertStorable, chargeToJson, requestToJson } from "./stored-rows.ts";

export interface JournalLedgerOptions extends ShipperOptions {
  /** Belongs to this ledger from now on: `close` closes it. */
  readonly journal: Journal;
  readonly database: Pick<LedgerDatabase, "query" | "sync">;
  /** Makes the outcome of an attempt that no process lived to see. */
  readonly settleOrphan: SettleOrphan;
  /** Keeps what repetitions of requests get; without it, `claim` and `ending` are ignored. */
  readonly replays?: ReplayJournal;
  /** Attempts that may be open, or waiting for the journal, before `open` refuses. @default 10,000 */
  readonly maxPending?: number;
  /** Rows that may wait in the journal for the database before `open` refuses. @default 200,000 */
  readonly maxUnshipped?: number;
  /** Told once, before the first attempt, if there was anything. */
  readonly onRecovered?: (recovered: Recovered) => void;
}

/** A ledger whose records are durable in the journal before `settle` and `finish` resolve, and then get shipped. */
export interface JournalLedger extends Ledger {
  /** Rows that the database has not taken yet, with those that wait for the journal. */
  readonly depth: number;
  /** How long the oldest of them has been waiting; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** Attempts that were opened and not settled. */
  readonly openAttempts: number;
  /**
   * For reads of the database: resolves when it has taken what was acknowledged before; at once while it takes
   * nothing, and after two seconds at the latest.
   */
  caughtUp(): Promise<void>;
  /**
   * Refuses new attempts, makes everything accepted durable, ships for at most so long, and closes the journal. What
   * is left is for the next start. The database stays open.
   */
  close(timeoutMs?: number): Promise<void>;
}

export const DEFAULT_MAX_PENDING = 10_000;
/** Some 200 MB of journal; 200 s at 500 requests a second. */
export const DEFAULT_MAX_UNSHIPPED = 200_000;
const CATCH_UP_TIMEOUT_MS = 2_000;
const DEFAULT_CLOSE_TIMEOUT_MS = 10_000;

/** First settles what the last process left open, then ships while it takes new records. */
export async function createJournalLedger(options: JournalLedgerOptions): Promise<JournalLedger> {
  const {
    journal,
    replays,
    maxPending = DEFAULT_MAX_PENDING,
    maxUnshipped = DEFAULT_MAX_UNSHIPPED,
  } = options;
  const shipper = createShipper(journal, options.database, options);
  const recovered = await recoverJournal(journal, options.settleOrphan);
  for (const price of recovered.prices) shipper.remember(price);
  if (recovered.orphans > 0 || recovered.rows > 0) options.onRecovered?.(recovered);
  shipper.wake();

  const openAttempts = new Set<string>();
  const journalPrice = createPriceOperations((price) => shipper.remember(price));
  let closed = false;
  const isFull = (): boolean =>
    openAttempts.size + journal.depth >= maxPending || shipper.unshipped >= maxUnshipped;
  const isReady = (): boolean => !closed && !journal.failing && !isFull();
  const keep = async (operations: readonly JournalOperation[]): Promise<void> => {
    await journal.add(operations, "keep");
    shipper.wake();
  };

  return {
    async open(intent: AttemptIntent, claim?: Claim): Promise<void> {
      if (!isReady()) throw unavailable();
      assertStorable(intent);
      const { attemptId } = intent;
      openAttempts.add(attemptId);
      const operations: JournalOperation[] = [{ kind: "open", attemptId, json: encodeIntent(intent) }];
      if (claim && replays) operations.push(replays.claimOperation(claim));
      try {
        await journalPrice(intent.price, (price) => journal.add([...price, ...operations], "refuse"));
      } catch (error) {
        openAttempts.delete(attemptId);
        throw error;
      }
    },
    checkpoint(attemptId, { outputBytes, deltas }) {
      void journal.add([{ kind: "checkpoint", attemptId, outputBytes, deltas }], "drop");
    },
    async settle(outcome: AttemptOutcome): Promise<void> {
      const { attemptId, price } = outcome.intent;
      openAttempts.delete(attemptId);
      const json = chargeToJson(outcome);
      const row = { kind: "row", table: "cost_record", json, priceId: price?.priceId, attemptId } as const;
      await journalPrice(price, (operations) => keep([...operations, row]));
    },
    async finish(entry: RequestLogEntry, ending?: Ending): Promise<void> {
      // A request that spent nothing was never bounded by `open`.
      if (entry.attempts === 0 && (closed || isFull())) throw unavailable();
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
    flush: () => journal.flush(),
    async caughtUp() {
      if (!shipper.failing) await shipper.shipped(CATCH_UP_TIMEOUT_MS);
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
      return isReady();
    },
    get depth() {
      return shipper.unshipped + journal.depth;
    },
    get oldestAgeMs() {
      return Math.max(shipper.oldestAgeMs, journal.oldestAgeMs);
    },
    get openAttempts() {
      return openAttempts.size;
    },
  };
}

const unavailable = () => new GatewayError("LEDGER_UNAVAILABLE", "the ledger cannot take a record now");

/** Past this the set starts anew, which costs a few repeated inserts. */
const MAX_KNOWN_PRICES = 10_000;

/** Puts a price into the journal with the first record that names it. */
function createPriceOperations(remember: (price: Price) => void) {
  const durable = new Set<string>();
  return async (
    price: Price | undefined,
    add: (operations: readonly JournalOperation[]) => Promise<void>,
  ): Promise<void> => {
    if (!price || durable.has(price.priceId)) return await add([]);
    remember(price);
    await add([{ kind: "price", priceId: price.priceId, json: encodePrice(price) }]);
    if (durable.size >= MAX_KNOWN_PRICES) durable.clear();
    durable.add(price.priceId);
  };
}
