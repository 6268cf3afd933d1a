import { join } from "node:path";
import type { Config } from "./config/config.ts";
import type { Clock } from "./core/clock.ts";
import { newId } from "./core/ids.ts";
import type { EventualDatabase } from "./db/eventual-database.ts";
import { interruptedCall } from "./gateway/replay-error.ts";
import { settleOrphan } from "./gateway/settle-attempt.ts";
import { openJournal } from "./ledger/journal.ts";
import { createJournalLedger, type JournalLedger } from "./ledger/journal-ledger.ts";
import { succeedOwner } from "./ledger/journal-owner.ts";
import { createReplayJournal, DEFAULT_REPLAY_TTL_MS, type ReplayJournal } from "./ledger/replay-journal.ts";
import { createReplaySeal } from "./ledger/replay-seal.ts";
import { createSharedReplayStore } from "./ledger/shared-replay-store.ts";
import { tellOfPredecessor, withSharedReplays } from "./ledger/shared-replays.ts";
import { deriveSecret } from "./pepper.ts";
import type { GatewayTelemetry } from "./telemetry/create-telemetry.ts";

/** Room for the outcomes of what is under way when no new attempt fits any more. */
const JOURNAL_RESERVE_BYTES = 64 * 1_024 ** 2;

/** The journal is local to this process; what it still holds is shipped to the database from now on. */
export async function startLedger(
  { database: { dataDir }, journalMaxBytes, replay }: Config,
  parts: {
    readonly database: EventualDatabase;
    readonly telemetry: GatewayTelemetry;
    readonly clock: Clock;
    readonly pepper: Buffer;
  },
): Promise<{ readonly ledger: JournalLedger; readonly replays: ReplayJournal }> {
  const { database, telemetry, clock, pepper } = parts;
  const { log } = telemetry;
  const onDatabaseError = (error: unknown) => telemetry.ledgerWriteFailed("database", error);
  const directory = join(dataDir, "journal");
  const journal = await openJournal({
    directory,
    maxFileBytes: journalMaxBytes + JOURNAL_RESERVE_BYTES + replay.maxBytes,
    replayLimits: replay,
    onWriteError: (error) => telemetry.ledgerWriteFailed("journal", error),
  });
  const seal = createReplaySeal(deriveSecret(pepper, "answers for replay"));
  const local = createReplayJournal({ journal, seal, clock, answerTtlMs: replay.answerTtlMs });
  const shared =
    database.kind === "postgres"
      ? await shareReplays(local, { database, telemetry, replay, directory })
      : { replays: local, tellOfPredecessor: () => {} };
  const { replays } = shared;
  const ledger = await createJournalLedger({
    journal,
    replays,
    database,
    ...{ settleOrphan, interruptedCall },
    maxJournalBytes: journalMaxBytes,
    isSchemaKnown: () => database.isOpen,
    onWriteError: onDatabaseError,
    onSyncError: onDatabaseError,
    // The row is in no database: this line is the only copy, and it holds neither prompts nor secrets.
    onRejected: (error, { table, json }) => log.error("ledger_row_rejected", { table, row: json }, error),
    onLate: (rows) => log.error("ledger_rows_late", { rows: rows.length }),
    onRecovered: ({ orphans, rows }) => log.warn("journal_recovered", { orphans, rows }),
  });
  shared.tellOfPredecessor();
  return { ledger, replays };
}

/** Replicas learn of each other's repeatable calls through the database. */
async function shareReplays(
  local: ReplayJournal,
  parts: {
    readonly database: EventualDatabase;
    readonly telemetry: GatewayTelemetry;
    readonly replay: Config["replay"];
    /** Of the journal. */
    readonly directory: string;
  },
): Promise<{ readonly replays: ReplayJournal; readonly tellOfPredecessor: () => void }> {
  const { database, telemetry, replay, directory } = parts;
  const owner = newId();
  const onUnavailable = (error: unknown) => telemetry.log.warn("shared_replays_unavailable", {}, error);
  // On a full disk the next start knows of no predecessor: others then wait for the calls of this process in vain.
  const predecessor = await succeedOwner(directory, owner).catch(onUnavailable);
  const claimTtlMs = Math.max(replay.answerTtlMs, DEFAULT_REPLAY_TTL_MS);
  const { answerTtlMs } = replay;
  const storeOf = (process: string) =>
    createSharedReplayStore({ database, owner: process, claimTtlMs, answerTtlMs, limits: replay });
  return {
    replays: withSharedReplays(local, { owner, store: storeOf(owner), onUnavailable }),
    tellOfPredecessor() {
      if (!predecessor) return;
      // Who cannot open the database says so elsewhere.
      const tell = () => tellOfPredecessor(local, storeOf(predecessor)).catch(onUnavailable);
      void database.opened.then(tell, () => {});
    },
  };
}
