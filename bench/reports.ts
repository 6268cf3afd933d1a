import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { createCostReader } from "../src/ledger/cost-reader.ts";
import { checkExactness } from "./reports/check-exactness.ts";
import { createCpuMeter } from "./reports/cpu-meter.ts";
import { explainPlans } from "./reports/explain-plans.ts";
import { measureIngest } from "./reports/measure-ingest.ts";
import { measurePages } from "./reports/measure-pages.ts";
import { measureReports } from "./reports/measure-reports.ts";
import { parseReportsOptions, type ReportsOptions, USAGE } from "./reports/options.ts";
import { makeReportDatabase, SETTINGS } from "./reports/report-database.ts";
import { type ReportsRun, toReportsMarkdown } from "./reports/reports-markdown.ts";
import { planWorkload } from "./reports/workload.ts";
import { createWorkspace, type Workspace } from "./workspace.ts";

/** Resolves to the exit code: 0 when the sums agree. */
async function main(): Promise<number> {
  const options = parseReportsOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  const workspace = createWorkspace();
  try {
    const run = await measure(workspace, options);
    console.log(toReportsMarkdown(run));
    if (options.jsonFile !== undefined) writeFileSync(options.jsonFile, toJson(run));
    return run.exactness.differences.length === 0 ? 0 : 1;
  } finally {
    await workspace.close();
  }
}

async function measure(workspace: Workspace, options: ReportsOptions): Promise<ReportsRun> {
  const startedAt = new Date();
  const workload = planWorkload(options.rows, startedAt);
  const loadAverages: Record<string, number> = {};
  const progress = (text: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);
  const part = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    progress(name);
    const result = await work();
    loadAverages[name] = loadavg()[0] ?? Number.NaN;
    return result;
  };

  const made = await part("making", () => makeReportDatabase(workspace, workload, progress));
  const { database } = made;
  const { query } = database;
  const reader = createCostReader(database);
  const readCpu = createCpuMeter(query);
  const reports = await part("reports", () => measureReports(reader, workload, options.runs, readCpu));
  const pages = await part("pages", () => measurePages({ reader, query, readCpu }, workload, options.runs));
  const plans = options.plans ? await part("plans", () => explainPlans(database, workload)) : [];
  const ingest = await part("ingest", () => measureIngest(database, options.ingestRows, readCpu));
  const exactness = await part("exactness", () => checkExactness(reader, made.patiently, workload));
  return {
    ...{ startedAt, rows: options.rows, runs: options.runs, settings: SETTINGS, loadAverages },
    ...{ postgresVersion: made.version, loadSeconds: made.loadSeconds, sizes: made.sizes },
    ...{ reports, pages, ingest, exactness, plans },
  };
}

function toJson(run: ReportsRun): string {
  const replace = (_key: string, value: unknown) => (typeof value === "bigint" ? value.toString() : value);
  return `${JSON.stringify(run, replace, 2)}\n`;
}

main().then(
  // Ends the process by itself: the embedded PostgreSQL would end it with 0 whatever happened.
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    if (error instanceof TypeError) console.error(USAGE);
    process.exit(2);
  },
);
