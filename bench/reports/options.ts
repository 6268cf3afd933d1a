import { parseArgs } from "node:util";

export const USAGE = `usage: node bench/reports.ts [--rows N] [--runs N] [--ingest-rows N] [--no-plans] [--json FILE]
  --rows         records that are made, 1,000 to 100,000,000; default 10,000,000 (some 13 GB of disk)
  --runs         times that each report and page is read; default 50
  --ingest-rows  rows that are written on top; default 200,000
  --no-plans     leaves out the plans of the main statements
  --json         writes the figures to a file as well`;

export interface ReportsOptions {
  readonly rows: number;
  readonly runs: number;
  readonly ingestRows: number;
  readonly plans: boolean;
  readonly jsonFile: string | undefined;
}

/** @throws TypeError when the arguments make no sense */
export function parseReportsOptions(args: readonly string[]): ReportsOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      rows: { type: "string", default: "10000000" },
      runs: { type: "string", default: "50" },
      "ingest-rows": { type: "string", default: "200000" },
      plans: { type: "boolean", default: true },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
    rows: parseCount("--rows", values.rows, { min: 1_000, max: 100_000_000 }),
    runs: parseCount("--runs", values.runs, { min: 1, max: 10_000 }),
    ingestRows: parseCount("--ingest-rows", values["ingest-rows"], { min: 1_000, max: 10_000_000 }),
    plans: values.plans,
    jsonFile: values.json,
  };
}

function parseCount(
  name: string,
  text: string,
  range: { readonly min: number; readonly max: number },
): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= range.min && count <= range.max))
    throw new TypeError(`${name} takes a whole number from ${range.min} to ${range.max}, not ${text}`);
  return count;
}
