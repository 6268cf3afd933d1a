import { GatewayError } from "../core/errors.ts";
import type { CostQuery, CostReader, CostReport, CostRow } from "../core/ledger.ts";
import { sumAmounts, toAmounts } from "./amounts.ts";
import { settleAsOf } from "./as-of.ts";
import { buildCostStatement } from "./cost-query-sql.ts";
import { assertFilter, invalid } from "./filter-sql.ts";
import type { LedgerDatabase, LedgerReadSession } from "./ledger-database.ts";
import { assertReportKept } from "./ledger-retention.ts";
import { readRecordPage } from "./record-page.ts";
import { divideReport } from "./report-segments.ts";

/** Groups in one report at most. */
export const MAX_REPORT_ROWS = 10_000;
export const MAX_DIMENSIONS = 4;

export interface CostReaderOptions {
  /** Awaited before each read: for what was acknowledged to reach the database. */
  readonly beforeRead?: () => Promise<unknown>;
}

/**
 * Reports and lists of records. A report is one statement, so its rows belong to one state of the ledger.
 * @throws GatewayError INVALID_REQUEST, OVERLOADED, DEADLINE_EXCEEDED (the statement took too long) and
 *   LEDGER_UNAVAILABLE (the database does not answer)
 */
export function createCostReader(database: LedgerDatabase, options: CostReaderOptions = {}): CostReader {
  const { beforeRead = async () => {} } = options;
  return {
    query: (query) =>
      withReadErrors(async () => {
        assertQuery(query);
        await beforeRead();
        return await database.reading((session) => readReport(session, query));
      }),
    listRecords: (request) =>
      withReadErrors(async () => {
        await beforeRead();
        return await database.reading((session) => readRecordPage(session, request));
      }),
  };
}

async function readReport(database: LedgerReadSession, query: CostQuery): Promise<CostReport> {
  const asOf = await settleAsOf(database, query.asOf);
  const segments = divideReport(query, asOf);
  const { text, values } = buildCostStatement(query, segments, { asOf, limit: MAX_REPORT_ROWS + 1 });
  const found = await database.snapshot((run) => run(text, values));
  await assertReportKept(database, segments, asOf);
  if (found.length > MAX_REPORT_ROWS) {
    throw new GatewayError(
      "INVALID_REQUEST",
      `the report has more than ${MAX_REPORT_ROWS} rows: narrow the interval or the filters, or group by less`,
    );
  }
  const rows = found.map(
    (row): CostRow => ({
      key: query.groupBy.map((_, index) => String(row[`key_${index}`])),
      ...toAmounts(row),
    }),
  );
  return { rows, totals: sumAmounts(rows), asOf };
}

function assertQuery(query: CostQuery): void {
  assertFilter(query);
  if (query.groupBy.length > MAX_DIMENSIONS)
    throw invalid("group_by", `must name at most ${MAX_DIMENSIONS} dimensions`);
  if (new Set(query.groupBy).size < query.groupBy.length)
    throw invalid("group_by", "must not repeat a dimension");
  if (query.groupBy.includes("tag") && !query.tagKey) throw invalid("tag_key", "is required to group by TAG");
  if (query.tagKey?.includes("\0")) throw invalid("tag_key", "must not contain the character U+0000");
}

/** SQLSTATE query_canceled: the statement's time limit. */
const QUERY_CANCELED = "57014";

/** Runs a read of the ledger; what the database says becomes an error that callers may see. */
export async function withReadErrors<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof GatewayError || !(cause instanceof Error)) throw cause;
    const code = "code" in cause ? cause.code : undefined;
    if (code === QUERY_CANCELED) {
      throw new GatewayError("DEADLINE_EXCEEDED", "the report took too long: narrow the interval", { cause });
    }
    if (cause instanceof TypeError || cause instanceof RangeError) throw cause;
    throw new GatewayError("LEDGER_UNAVAILABLE", "the ledger cannot be read now", { cause });
  }
}
