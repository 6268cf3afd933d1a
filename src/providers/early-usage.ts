import type { UsageReport } from "../core/usage.ts";

/** Usage stated before there was any output: only its input means anything. */
export function toInputOnly(report: UsageReport): UsageReport {
  if (report.kind !== "reported") return report;
  const { tokensIn, uncachedTokensIn, cacheReadTokensIn, cacheWriteTokensIn } = report.usage;
  return { kind: "input_only", input: { tokensIn, uncachedTokensIn, cacheReadTokensIn, cacheWriteTokensIn } };
}

/** Usage stated while the answer was not over: its input is final, its output the least that there was. */
export function toSoFar(report: UsageReport): UsageReport {
  return report.kind === "reported" ? { ...report, kind: "so_far" } : report;
}
