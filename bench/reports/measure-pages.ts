import type { CostFilter, CostReader } from "../../src/core/ledger.ts";
import type { SqlQuery } from "../../src/ledger/ledger-database.ts";
import { formatPageToken } from "../../src/ledger/page-token.ts";
import type { CpuMeter } from "./cpu-meter.ts";
import { ALL, BUSY_KEY, RARE_KEY } from "./measure-reports.ts";
import { type Timings, timeRuns } from "./timings.ts";
import type { Workload } from "./workload.ts";

export interface PageFigures extends Timings {
  readonly name: string;
  readonly depth: string;
  readonly records: number;
  readonly goalMs: number | undefined;
}

export const PAGE_GOAL_MS = 20;
const PAGE_SIZE = 100;

interface PageCase {
  readonly name: string;
  readonly pageSize: number;
  readonly filter: CostFilter;
}

export function pageCases({ start, end }: Workload): readonly PageCase[] {
  const page = (name: string, changes: Partial<CostFilter>, pageSize = PAGE_SIZE): PageCase => ({
    name,
    pageSize,
    filter: { ...ALL, start, end, ...changes },
  });
  return [
    page("all", {}),
    page("all, 1,000 records", {}, 1_000),
    page("a busy key", { apiKeyIds: [BUSY_KEY] }),
    page("a rare key", { apiKeyIds: [RARE_KEY] }),
    page("two keys", { apiKeyIds: [BUSY_KEY, RARE_KEY] }),
    page("a provider", { providers: ["provider-1"] }),
    page("a model", { models: ["model-11"] }),
    page("a key and a model", { apiKeyIds: [BUSY_KEY], models: ["model-00"] }),
    page("a tag", { tags: { team: "team-3" } }),
    page("a tag on one record in 50,000", { tags: { experiment: "rare" } }),
    page("an end user", { endUsers: ["user-77"] }),
    page("provider, model and tag", {
      providers: ["provider-1"],
      models: ["model-01"],
      tags: { stage: "test" },
    }),
  ];
}

/** Each listing at its first page, from the middle of the records, and at the oldest of them. */
export async function measurePages(
  {
    reader,
    query,
    readCpu,
  }: { readonly reader: CostReader; readonly query: SqlQuery; readonly readCpu: CpuMeter },
  workload: Workload,
  runs: number,
): Promise<readonly PageFigures[]> {
  const depths = [
    { depth: "first", share: 0 },
    { depth: "middle", share: 0.5 },
    { depth: "last", share: 1 },
  ];
  const figures: PageFigures[] = [];
  for (const { name, filter, pageSize } of pageCases(workload)) {
    for (const { depth, share } of depths) {
      const pageToken = share === 0 ? undefined : await tokenAt(query, filter, workload, share);
      let records = 0;
      const timings = await timeRuns(runs, readCpu, async () => {
        records = (await reader.listRecords({ filter, pageSize, pageToken })).records.length;
      });
      figures.push({
        name,
        depth,
        records,
        goalMs: pageSize === PAGE_SIZE ? PAGE_GOAL_MS : undefined,
        ...timings,
      });
    }
  }
  return figures;
}

/** What the pages before would have given out, without reading them all. */
async function tokenAt(
  query: SqlQuery,
  filter: CostFilter,
  { rows, start, end }: Workload,
  share: number,
): Promise<string> {
  const spanMs = end.getTime() - start.getTime();
  const leftMs = share === 1 ? (150 * spanMs) / rows : spanMs * (1 - share);
  const [row] = await query(
    `SELECT record_id::text AS record_id, (extract(epoch FROM occurred_at) * 1000)::float8 AS ms FROM cost_record
     WHERE occurred_at >= $1::timestamptz ORDER BY occurred_at, record_id LIMIT 1`,
    [new Date(start.getTime() + leftMs).toISOString()],
  );
  if (!row) throw new Error("no record there");
  return formatPageToken(filter, {
    asOf: end,
    occurredAt: new Date(Number(row.ms)),
    recordId: String(row.record_id),
  });
}
