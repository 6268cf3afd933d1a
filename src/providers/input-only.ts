import type { UsageReport } from "../core/usage.ts";

/** Usage stated before the answer was over: its output is not final, its input is. */
export function toInputOnly(report: UsageReport): UsageReport {
  if (report.kind !== "reported") return report;
  const { tokensIn, uncachedTokensIn, cacheReadTokensIn, cacheWriteTokensIn } = report.usage;
  return { kind: "input_only", input: { tokensIn, uncachedTokensIn, cacheReadTokensIn, cacheWriteTokensIn } };
}
