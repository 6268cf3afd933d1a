import type { CostReader } from "../../src/core/ledger.ts";
import { formatUsd } from "../../src/core/money.ts";
import type { SqlQuery } from "../../src/ledger/ledger-database.ts";
import { findRollupDifferences } from "../../test/support/rollup-differences.ts";
import { ALL } from "./measure-reports.ts";
import type { Workload } from "./workload.ts";

export interface Exactness {
  /** Empty when records, every rollup and the reports agree. */
  readonly differences: readonly string[];
  readonly records: bigint;
  readonly requests: bigint;
  readonly costUsd: string;
}

/** Records = rollups, row by row; the sum of the records = the totals of reports over any tables of sums. */
export async function checkExactness(
  reader: CostReader,
  query: SqlQuery,
  { start }: Workload,
): Promise<Exactness> {
  const differences = [...(await findRollupDifferences(query))];
  const end = new Date();
  const [sums] = await query(
    `SELECT count(*)::text AS records, coalesce(sum(cost_usd), 0)::numeric(30,12)::text AS cost_usd,
       (SELECT count(*)::text FROM request_log) AS requests FROM cost_record`,
  );
  const [records, requests, costUsd] = [sums?.records, sums?.requests, sums?.cost_usd].map(String);
  const kept = `${records} records, ${requests} requests, ${costUsd} USD`;
  for (const groupBy of [
    [],
    ["api_key"],
    ["day"],
    ["month", "model"],
    ["api_key", "provider", "model"],
  ] as const) {
    const { totals } = await reader.query({ ...ALL, start, end, groupBy, tagKey: undefined });
    const told = `${totals.attempts} records, ${totals.requests} requests, ${formatUsd(totals.costPicoUsd)} USD`;
    if (told !== kept) differences.push(`report by ${groupBy.join(", ")}: ${told}; records: ${kept}`);
  }
  return {
    differences,
    records: BigInt(records ?? 0),
    requests: BigInt(requests ?? 0),
    costUsd: costUsd ?? "",
  };
}
