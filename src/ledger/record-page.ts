import type { CostFilter, CostReader, CostRecord } from "../core/ledger.ts";
import { effectivePageSize } from "../core/paging.ts";
import { settleAsOf } from "./as-of.ts";
import {
  assertFilter,
  type Bindings,
  createBindings,
  detailConditions,
  sharedConditions,
} from "./filter-sql.ts";
import type { LedgerReadSession, SqlQuery } from "./ledger-database.ts";
import { assertRecordsKept } from "./ledger-retention.ts";
import { formatPageToken, type PagePosition, parsePageToken } from "./page-token.ts";
import { RECORD_SELECT, toCostRecord } from "./record-row.ts";

/**
 * A page looks at so many records at most, in the order of time (of the key, when the filter names a single one), and
 * then ends, full or not. So a page takes milliseconds however rare the records are that the filter lets through, and
 * tags, models and end users need no index that each record would have to pay for.
 */
export const MAX_SCANNED_RECORDS = 2_500;

/**
 * One page of attempts, newest first. All pages of a listing stand for the instant of the first one, so records that
 * are added meanwhile change nothing. A page may be short, or empty, and have a next one.
 * @param maxScanned for tests
 */
export async function readRecordPage(
  database: LedgerReadSession,
  request: Parameters<CostReader["listRecords"]>[0],
  maxScanned: number = MAX_SCANNED_RECORDS,
): ReturnType<CostReader["listRecords"]> {
  const { filter, pageToken } = request;
  assertFilter(filter);
  const pageSize = effectivePageSize(request.pageSize);
  const position = pageToken ? parsePageToken(filter, pageToken) : undefined;
  const asOf = position?.asOf ?? (await settleAsOf(database, filter.asOf));

  const { rows, scanEnd } = await database.snapshot(async (run) => {
    const scanEnd = isSelective(filter) ? await findScanEnd(run, filter, position, maxScanned) : undefined;
    const { text, values } = buildPageStatement(filter, {
      asOf,
      after: position,
      scanEnd,
      limit: pageSize + 1,
    });
    return { rows: await run(text, values), scanEnd };
  });
  await assertRecordsKept(database, filter);

  const read = rows.slice(0, pageSize).map(toCostRecord);
  const last = read.at(-1);
  const lastRead =
    rows.length > pageSize && last
      ? { occurredAt: last.record.occurredAt, recordId: last.recordId }
      : scanEnd;
  return {
    records: read.map(({ record }): CostRecord => record),
    nextPageToken: lastRead && formatPageToken(filter, { asOf, ...lastRead }),
  };
}

type RecordPosition = Omit<PagePosition, "asOf">;

/** Whether records are passed over that an index in the order of the page cannot leave out. */
function isSelective(filter: CostFilter): boolean {
  const lists = [filter.providers, filter.models, filter.endUsers, Object.keys(filter.tags)];
  return filter.asOf !== undefined || filter.apiKeyIds.length > 1 || lists.some((list) => list.length > 0);
}

/** The last record that the page looks at; undefined when fewer are left. */
async function findScanEnd(
  run: SqlQuery,
  filter: CostFilter,
  after: RecordPosition | undefined,
  maxScanned: number,
): Promise<RecordPosition | undefined> {
  const bindings = createBindings();
  const { apiKeyIds } = filter;
  const indexed = { ...ANYTHING, apiKeyIds: apiKeyIds.length === 1 ? apiKeyIds : [] };
  const conditions = [
    ...withinPage(filter, { after, scanEnd: undefined }, bindings),
    ...sharedConditions(indexed, bindings),
  ];
  const [row] = await run(
    `SELECT (extract(epoch FROM occurred_at) * 1000)::float8 AS occurred_at_ms, record_id::text AS record_id
FROM cost_record WHERE ${conditions.join(" AND ")}
${NEWEST_FIRST} OFFSET ${bindings.bind(maxScanned - 1)}::bigint LIMIT 1`,
    bindings.values,
  );
  return row && { occurredAt: new Date(Number(row.occurred_at_ms)), recordId: String(row.record_id) };
}

const ANYTHING = { apiKeyIds: [], providers: [], models: [] };
/** With the table's name: without it, ORDER BY would mean the texts that are selected under the same names. */
const NEWEST_FIRST = "ORDER BY cost_record.occurred_at DESC, cost_record.record_id DESC";

function buildPageStatement(
  filter: CostFilter,
  bounds: {
    readonly asOf: Date;
    readonly after: RecordPosition | undefined;
    readonly scanEnd: RecordPosition | undefined;
    readonly limit: number;
  },
) {
  const { asOf, after, scanEnd, limit } = bounds;
  const bindings = createBindings();
  const { bind } = bindings;
  const conditions = [
    ...withinPage(filter, { after, scanEnd }, bindings),
    `recorded_at < ${bind(asOf.toISOString())}::timestamptz`,
    ...sharedConditions(filter, bindings),
    ...detailConditions(filter, bindings),
  ];
  const text = `SELECT ${RECORD_SELECT} FROM cost_record WHERE ${conditions.join(" AND ")}
${NEWEST_FIRST} LIMIT ${bind(limit)}::bigint`;
  return { text, values: bindings.values };
}

/**
 * The records between two positions. Of the times, only the narrower bound is named: an index scan would begin at the
 * first one that it finds, and pass over everything from there.
 */
function withinPage(
  filter: CostFilter,
  {
    after,
    scanEnd,
  }: { readonly after: RecordPosition | undefined; readonly scanEnd: RecordPosition | undefined },
  bindings: Bindings,
): readonly string[] {
  const { bind } = bindings;
  const instant = (date: Date): string => `${bind(date.toISOString())}::timestamptz`;
  const pair = ({ occurredAt, recordId }: RecordPosition): string =>
    `(${instant(occurredAt)}, ${bind(recordId)}::uuid)`;
  const isInside = after !== undefined && after.occurredAt < filter.end;
  return [
    `occurred_at >= ${instant(scanEnd?.occurredAt ?? filter.start)}`,
    isInside ? `occurred_at <= ${instant(after.occurredAt)}` : `occurred_at < ${instant(filter.end)}`,
    ...(scanEnd ? [`(occurred_at, record_id) >= ${pair(scanEnd)}`] : []),
    ...(after ? [`(occurred_at, record_id) < ${pair(after)}`] : []),
  ];
}
