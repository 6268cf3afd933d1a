import { setTimeout as delay } from "node:timers/promises";
import { GatewayError } from "../core/errors.ts";
import type { LedgerReadSession } from "./ledger-database.ts";
import { WRITE_MARKER } from "./write-statement.ts";

/** A report waits so long for the writes that were under way at its instant; they take milliseconds. */
const MAX_WAIT_MS = 1_000;
const POLL_MS = 2;

/**
 * Finds the instant that a report stands for, such that the set of rows with an earlier `recorded_at` is complete:
 * none is missing that a write under way would still add, so the same instant gives the same report for ever, and
 * everything that was durable when the report was asked for is in it.
 *
 * `recorded_at` is the start of the writing transaction. So: take an instant after now (whole milliseconds, since a
 * Date has no more), let it pass, and wait for the ledger's writes that began before it. Should one take longer than
 * a second, the instant is moved back before that write. Ask this before the report's snapshot is taken.
 *
 * PostgreSQL shows a session's activity to its own role only: replicas must share theirs, with `track_activities` on.
 * @throws GatewayError INVALID_REQUEST when `requested` lies in the future
 */
export async function settleAsOf(
  database: Pick<LedgerReadSession, "kind" | "query">,
  requested: Date | undefined,
): Promise<Date> {
  const [clock] = await database.query(
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms",
  );
  const nowMs = Number(clock?.now_ms);
  if (requested && requested.getTime() > nowMs) {
    throw new GatewayError("INVALID_REQUEST", "as_of lies in the future", {
      fieldViolations: [{ field: "as_of", description: "must not lie in the future" }],
    });
  }
  const asOfMs = requested?.getTime() ?? Math.floor(nowMs) + 1;
  if (asOfMs > nowMs) await delay(Math.ceil(asOfMs - nowMs) + 1);
  // The embedded database has one connection: no write is under way while this query is answered.
  if (database.kind === "pglite") return new Date(asOfMs);

  const giveUpAtMs = performance.now() + MAX_WAIT_MS;
  for (;;) {
    const earliestMs = await earliestWriteBefore(database, asOfMs);
    if (earliestMs === undefined) return new Date(asOfMs);
    if (performance.now() > giveUpAtMs) return new Date(earliestMs);
    await delay(POLL_MS);
  }
}

/** When the oldest of the ledger's running writes began, in whole milliseconds, if that was before the instant. */
async function earliestWriteBefore(
  database: Pick<LedgerReadSession, "query">,
  asOfMs: number,
): Promise<number | undefined> {
  const [oldest] = await database.query(
    `SELECT floor(extract(epoch FROM min(xact_start)) * 1000)::float8 AS started_ms FROM pg_stat_activity
     WHERE datname = current_database() AND state = 'active' AND query LIKE $1
       AND xact_start < to_timestamp($2::float8 / 1000)`,
    [`${WRITE_MARKER}%`, asOfMs],
  );
  const startedMs = oldest?.started_ms;
  return typeof startedMs === "number" ? startedMs : undefined;
}
