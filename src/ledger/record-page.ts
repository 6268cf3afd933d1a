import type { CostFilter, CostReader, CostRecord } from "../core/ledger.ts";
import { effectivePageSize } from "../core/paging.ts";
import { settleAsOf } from "./as-of.ts";
import { assertFilter, createBindings, detailConditions, sharedConditions, within } from "./filter-sql.ts";
import type { LedgerReadSession } from "./ledger-database.ts";
import { formatPageToken, type PagePosition, parsePageToken } from "./page-token.ts";
import { RECORD_SELECT, toCostRecord } from "./record-row.ts";

/**
 * One page of attempts, newest first. All pages of a listing stand for the instant of the first one, so records that
 * are added meanwhile change nothing.
 */
export async function readRecordPage(
  database: LedgerReadSession,
  request: Parameters<CostReader["listRecords"]>[0],
): ReturnType<CostReader["listRecords"]> {
  const { filter, pageToken } = request;
  assertFilter(filter);
  const pageSize = effectivePageSize(request.pageSize);
  const position = pageToken ? parsePageToken(filter, pageToken) : undefined;
  const asOf = position?.asOf ?? (await settleAsOf(database, filter.asOf));

  const statement = buildPageStatement(filter, asOf, position, pageSize + 1);
  const found = await database.snapshot((run) => run(statement.text, statement.values));
  const read = found.slice(0, pageSize).map(toCostRecord);
  const last = read.at(-1);
  const more = found.length > pageSize && last !== undefined;
  return {
    records: read.map(({ record }): CostRecord => record),
    nextPageToken: more
      ? formatPageToken(filter, { asOf, occurredAt: last.record.occurredAt, recordId: last.recordId })
      : undefined,
  };
}

function buildPageStatement(filter: CostFilter, asOf: Date, after: PagePosition | undefined, limit: number) {
  const bindings = createBindings();
  const { bind } = bindings;
  const conditions = [
    within("occurred_at", filter.start, filter.end, bindings),
    `recorded_at < ${bind(asOf.toISOString())}::timestamptz`,
    ...sharedConditions(filter, bindings),
    ...detailConditions(filter, bindings),
  ];
  if (after) {
    const position = `(${bind(after.occurredAt.toISOString())}::timestamptz, ${bind(after.recordId)}::uuid)`;
    conditions.push(`(occurred_at, record_id) < ${position}`);
  }
  const text = `SELECT ${RECORD_SELECT} FROM cost_record WHERE ${conditions.join(" AND ")}
ORDER BY occurred_at DESC, record_id DESC LIMIT ${bind(limit)}::bigint`;
  return { text, values: bindings.values };
}
