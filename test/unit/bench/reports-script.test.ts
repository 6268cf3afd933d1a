import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { parseReportsOptions } from "../../../bench/reports/options.ts";

const run = promisify(execFile);

test("the benchmark of reports runs, scaled down, and finds every sum exact", async () => {
  const script = new URL("../../../bench/reports.ts", import.meta.url).pathname;
  const args = [script, "--rows", "20000", "--runs", "1", "--ingest-rows", "1000"];
  const { stdout } = await run(process.execPath, args, { maxBuffer: 16 * 1024 * 1024 });
  expect(stdout).toContain(
    "Records, every table of sums and the reports agree to the last token and picodollar.",
  );
  for (const name of ["month by api_key", "year by day", "a tag on one record in 50,000", "attempts alone"])
    expect(stdout).toContain(`| ${name} |`);
  // Pages read the index in their order, month after month, and sort nothing.
  const page = stdout.split("### ").find((section) => section.startsWith("page: all\n"));
  expect(page).toContain("Index Scan Backward");
  expect(page).not.toContain("Sort");
}, 120_000);

test("its options are checked", () => {
  expect(parseReportsOptions([])).toMatchObject({ rows: 10_000_000, runs: 50, plans: true });
  expect(parseReportsOptions(["--rows", "1000", "--no-plans"])).toMatchObject({ rows: 1_000, plans: false });
  expect(parseReportsOptions(["--help"])).toBe("help");
  for (const args of [
    ["--rows", "999"],
    ["--runs", "0"],
    ["--ingest-rows", "1e6"],
    ["--row", "5000"],
  ])
    expect(() => parseReportsOptions(args), args.join(" ")).toThrow(TypeError);
});
