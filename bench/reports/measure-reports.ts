import type { CostFilter, CostQuery, CostReader } from "../../src/core/ledger.ts";
import type { CpuMeter } from "./cpu-meter.ts";
import { type Timings, timeRuns } from "./timings.ts";
import type { Workload } from "./workload.ts";

/** A report, and what it may take. */
export interface ReportCase {
  readonly name: string;
  readonly query: CostQuery;
  readonly goalMs: number | undefined;
}

export interface ReportFigures extends Timings {
  readonly name: string;
  readonly rows: number;
  readonly goalMs: number | undefined;
}

export const ALL: CostFilter = {
  ...{ start: new Date(0), end: new Date(0), apiKeyIds: [], providers: [], models: [] },
  ...{ tags: {}, endUsers: [], asOf: undefined },
};
export const BUSY_KEY = "k_000000000000";
export const RARE_KEY = "k_000000000199";

const DAY_MS = 86_400_000;
const MONTH_GOAL_MS = 50;
const YEAR_GOAL_MS = 200;

/** The last whole month, the thirty days until now (which end within an hour), the last whole year of days. */
export function reportCases({ end }: Workload): readonly ReportCase[] {
  const [year, month] = [end.getUTCFullYear(), end.getUTCMonth()];
  const wholeMonth = { start: new Date(Date.UTC(year, month - 1)), end: new Date(Date.UTC(year, month)) };
  const thirtyDays = { start: new Date(end.getTime() - 30 * DAY_MS), end };
  const today = Date.UTC(year, month, end.getUTCDate());
  const oneYear = { start: new Date(today - 365 * DAY_MS), end: new Date(today) };
  const yesterday = { start: new Date(today - DAY_MS), end: new Date(today) };
  const report = (
    name: string,
    changes: Partial<CostQuery> & Pick<CostQuery, "start" | "end" | "groupBy">,
    goalMs: number | undefined,
  ): ReportCase => ({ name, query: { ...ALL, tagKey: undefined, ...changes }, goalMs });
  const GROUPINGS = [["api_key"], ["provider"], ["model"], ["api_key", "provider", "model"]] as const;
  return [
    ...GROUPINGS.map((groupBy) =>
      report(`month by ${groupBy.join(", ")}`, { ...wholeMonth, groupBy }, MONTH_GOAL_MS),
    ),
    report(
      "month by key, one provider",
      { ...wholeMonth, groupBy: ["api_key"], providers: ["provider-1"] },
      MONTH_GOAL_MS,
    ),
    report(
      "month by model, one key",
      { ...wholeMonth, groupBy: ["model"], apiKeyIds: [BUSY_KEY] },
      MONTH_GOAL_MS,
    ),
    report(
      "month by key, repeated with as_of",
      { ...wholeMonth, groupBy: ["api_key"], asOf: end },
      MONTH_GOAL_MS,
    ),
    ...GROUPINGS.map((groupBy) =>
      report(`30 days until now by ${groupBy.join(", ")}`, { ...thirtyDays, groupBy }, MONTH_GOAL_MS),
    ),
    report("year by day", { ...oneYear, groupBy: ["day"] }, YEAR_GOAL_MS),
    report("year by day, provider", { ...oneYear, groupBy: ["day", "provider"] }, YEAR_GOAL_MS),
    report(
      "year by day, one provider",
      { ...oneYear, groupBy: ["day"], providers: ["provider-1"] },
      YEAR_GOAL_MS,
    ),
    report(
      "year by day, one busy key",
      { ...oneYear, groupBy: ["day"], apiKeyIds: [BUSY_KEY] },
      YEAR_GOAL_MS,
    ),
    report("year by day, ten keys", { ...oneYear, groupBy: ["day"], apiKeyIds: TEN_KEYS }, YEAR_GOAL_MS),
    report("month by hour, provider", { ...wholeMonth, groupBy: ["hour", "provider"] }, undefined),
    report("yesterday by tag (reads records)", { ...yesterday, groupBy: ["tag"], tagKey: "team" }, undefined),
  ];
}

const TEN_KEYS = Array.from({ length: 10 }, (_, index) => `k_${String(index * 20).padStart(12, "0")}`);

export async function measureReports(
  reader: CostReader,
  workload: Workload,
  runs: number,
  readCpu: CpuMeter,
): Promise<readonly ReportFigures[]> {
  const figures: ReportFigures[] = [];
  for (const { name, query, goalMs } of reportCases(workload)) {
    let rows = 0;
    const timings = await timeRuns(runs, readCpu, async () => {
      rows = (await reader.query(query)).rows.length;
    });
    figures.push({ name, rows, goalMs, ...timings });
  }
  return figures;
}
