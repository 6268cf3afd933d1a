import { createCostReader } from "../../src/ledger/cost-reader.ts";
import type { LedgerDatabase, SqlQuery } from "../../src/ledger/ledger-database.ts";
import { pageCases } from "./measure-pages.ts";
import { reportCases } from "./measure-reports.ts";
import type { Workload } from "./workload.ts";

export interface Plan {
  readonly name: string;
  readonly lines: readonly string[];
}

const MAX_LINE_LENGTH = 160;
const REPORTS = [
  "month by api_key",
  "30 days until now by api_key",
  "year by day",
  "year by day, one busy key",
];
const PAGES = ["all", "a busy key", "a tag on one record in 50,000"];

/** The plans of the statements that the reader itself makes. */
export async function explainPlans(database: LedgerDatabase, workload: Workload): Promise<readonly Plan[]> {
  const plans: Plan[] = [];
  const explained = (name: string): LedgerDatabase => ({
    ...database,
    reading: (work) =>
      database.reading((session) =>
        work({
          ...session,
          snapshot: (read) =>
            session.snapshot((run) =>
              read(async (text, values) => {
                plans.push({ name, lines: await explain(run, text, values) });
                return await run(text, values);
              }),
            ),
        }),
      ),
  });
  for (const { name, query } of reportCases(workload))
    if (REPORTS.includes(name)) await createCostReader(explained(name)).query(query);
  for (const { name, filter, pageSize } of pageCases(workload)) {
    if (!PAGES.includes(name)) continue;
    await createCostReader(explained(`page: ${name}`)).listRecords({
      filter,
      pageSize,
      pageToken: undefined,
    });
  }
  return plans;
}

async function explain(
  run: SqlQuery,
  text: string,
  values: Parameters<SqlQuery>[1],
): Promise<readonly string[]> {
  const rows = await run(`EXPLAIN (ANALYZE, BUFFERS) ${text}`, values);
  return withoutIdleNodes(rows.map((row) => String(row["QUERY PLAN"]))).map((line) =>
    line.slice(0, MAX_LINE_LENGTH),
  );
}

/** Leaves out what was planned and never executed: the months that a page did not get to. */
function withoutIdleNodes(lines: readonly string[]): readonly string[] {
  const shown: string[] = [];
  let idleDepth: number | undefined;
  let idle = 0;
  for (const line of lines) {
    const depth = line.search(/\S/);
    if (idleDepth !== undefined && depth > idleDepth) continue;
    idleDepth = line.includes("(never executed)") ? depth : undefined;
    if (idleDepth === undefined) shown.push(line);
    else idle++;
  }
  return idle === 0 ? shown : [...shown, `(${idle} nodes that were never executed are left out)`];
}
