import { cpus } from "node:os";
import type { Exactness } from "./check-exactness.ts";
import type { Plan } from "./explain-plans.ts";
import type { IngestFigures } from "./measure-ingest.ts";
import type { PageFigures } from "./measure-pages.ts";
import type { ReportFigures } from "./measure-reports.ts";
import type { TableSize } from "./report-database.ts";
import type { Timings } from "./timings.ts";

export interface ReportsRun {
  readonly startedAt: Date;
  readonly rows: number;
  readonly runs: number;
  readonly postgresVersion: string;
  readonly settings: readonly string[];
  readonly loadSeconds: number;
  readonly sizes: readonly TableSize[];
  readonly reports: readonly ReportFigures[];
  readonly pages: readonly PageFigures[];
  readonly ingest: readonly IngestFigures[];
  readonly exactness: Exactness;
  readonly plans: readonly Plan[];
  /** Of the machine, by part of the run: with strangers on its cores, times say less. */
  readonly loadAverages: Readonly<Record<string, number>>;
}

/** The figures, as Markdown. */
export function toReportsMarkdown(run: ReportsRun): string {
  const loads = Object.entries(run.loadAverages).map(([part, load]) => `${part} ${load.toFixed(1)}`);
  return [
    `${run.startedAt.toISOString().slice(0, 16)}Z, ${count(run.rows)} records, Node ${process.version}, ` +
      `PostgreSQL ${run.postgresVersion} (${run.settings.join(", ")}; fsync on), ${cpus().length} cores of ` +
      `${cpus()[0]?.model.trim() ?? "an unknown CPU"}. Made in ${run.loadSeconds.toFixed(0)} s. ` +
      `Load average: ${loads.join(", ")}.`,
    table(
      ["table", "rows", "table MiB", "indexes MiB"],
      run.sizes.map((size) => [size.table, ...[size.rows, size.tableMiB, size.indexMiB].map(count)]),
    ),
    table(
      ["report", "rows", ...TIMED_TITLES],
      run.reports.map((figures) => [figures.name, count(figures.rows), ...timed(figures)]),
    ),
    table(
      ["page of records", "depth", "records", ...TIMED_TITLES],
      run.pages.map((figures) => [figures.name, figures.depth, count(figures.records), ...timed(figures)]),
    ),
    table(
      [
        "ingest",
        "rows a batch",
        "rows/s",
        "records/s",
        "CPU µs a row: database",
        "Node",
        "batch p50 ms",
        "batch p99 ms",
      ],
      run.ingest.map((figures) => [
        figures.name,
        String(figures.batchRows),
        ...[figures.rowsPerSecond, figures.recordsPerSecond].map(count),
        ...[figures.databaseCpuMicrosPerRow, figures.nodeCpuMicrosPerRow].map((value) => value.toFixed(1)),
        ...[figures.batchP50Ms, figures.batchP99Ms].map((value) => value.toFixed(1)),
      ]),
    ),
    `**Exactness:** ${count(Number(run.exactness.records))} records, ${count(Number(run.exactness.requests))} requests, ` +
      `${run.exactness.costUsd} USD. ` +
      (run.exactness.differences.length === 0
        ? "Records, every table of sums and the reports agree to the last token and picodollar."
        : `**They differ:** ${run.exactness.differences.join("; ")}`),
    ...run.plans.map(({ name, lines }) => `### ${name}\n\n\`\`\`\n${lines.join("\n")}\n\`\`\``),
  ].join("\n\n");
}

const TIMED_TITLES = ["first ms", "p50 ms", "p99 ms", "CPU ms: database", "Node", "goal ms", "met"];

function timed(figures: Timings & { readonly goalMs: number | undefined }): readonly string[] {
  const { firstMs, p50Ms, p99Ms, databaseCpuMs, nodeCpuMs, goalMs } = figures;
  return [
    ...[firstMs, p50Ms, p99Ms, databaseCpuMs, nodeCpuMs].map((value) => value.toFixed(1)),
    ...(goalMs === undefined ? ["", ""] : [String(goalMs), verdict(figures, goalMs)]),
  ];
}

function verdict({ p50Ms, p99Ms }: Timings, goalMs: number): string {
  if (p99Ms <= goalMs) return "yes";
  return p50Ms <= goalMs ? "p50" : "**no**";
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(titles),
    line(titles.map((_, index) => (index === 0 ? "---" : "--:"))),
    ...rows.map(line),
  ].join("\n");
}

const count = (value: number): string => Math.round(value).toLocaleString("en-US");
