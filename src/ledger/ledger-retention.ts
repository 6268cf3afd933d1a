import type { CostFilter } from "../core/ledger.ts";
import { invalid } from "./filter-sql.ts";
import type { LedgerDatabase } from "./ledger-database.ts";
import { type Segment, spanOfRollups } from "./report-segments.ts";

/** What retention has dropped. */
interface Retention {
  /** The first instant whose records are there. */
  readonly detailsFrom: Date;
  /** Everything that was dropped had been recorded by then. */
  readonly recordedUntil: Date | undefined;
}

/**
 * Refuses a report that needs records which retention has dropped. Asked after the report was read: a month that was
 * dropped while it was read is then known here, too.
 * @throws GatewayError INVALID_REQUEST that names the first instant whose records are there
 */
export async function assertReportKept(
  database: Pick<LedgerDatabase, "query">,
  segments: readonly Segment[],
  asOf: Date,
): Promise<void> {
  const retention = await readRetention(database);
  if (!retention) return;
  const { detailsFrom, recordedUntil } = retention;
  const read = segments.find(({ source, start }) => source === "records" && start < detailsFrom);
  if (read) throw notKept(detailsFrom, "reports on whole hours, without tags and end users, go further back");
  const summed = spanOfRollups(segments);
  if (summed && summed.start < detailsFrom && recordedUntil && asOf <= recordedUntil)
    throw notKept(detailsFrom, "as_of must be later than the instant at which the last of them was recorded");
}

/** The same for a page of records. @throws GatewayError INVALID_REQUEST */
export async function assertRecordsKept(
  database: Pick<LedgerDatabase, "query">,
  filter: Pick<CostFilter, "start">,
): Promise<void> {
  const retention = await readRetention(database);
  if (retention && filter.start < retention.detailsFrom)
    throw notKept(retention.detailsFrom, "start there or later");
}

const notKept = (detailsFrom: Date, hint: string) =>
  invalid("start", `needs records from before ${detailsFrom.toISOString()}, which are not kept: ${hint}`);

/** The first instant whose records are there; undefined when none was dropped. */
export async function readDetailsFrom(query: LedgerDatabase["query"]): Promise<Date | undefined> {
  return (await readRetention({ query }))?.detailsFrom;
}

async function readRetention(database: Pick<LedgerDatabase, "query">): Promise<Retention | undefined> {
  const [row] = await database.query(
    `SELECT extract(epoch FROM (max(month) AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')::float8 AS seconds,
       extract(epoch FROM max(recorded_until))::float8 AS recorded_seconds FROM ledger_retention`,
  );
  const { seconds, recorded_seconds: recordedSeconds } = row ?? {};
  if (typeof seconds !== "number") return undefined;
  return {
    detailsFrom: new Date(seconds * 1_000),
    recordedUntil:
      typeof recordedSeconds === "number" ? new Date(Math.ceil(recordedSeconds * 1_000)) : undefined,
  };
}
