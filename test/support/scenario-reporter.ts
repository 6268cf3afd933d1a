import type { Reporter, TestModule } from "vitest/node";
import type { ScenarioResult } from "./scenario.ts";

const COLUMNS = [
  ...["scenario", "seed", "kills", "calls", "attempts", "exact", "estimated", "unknown", "not billed"],
  ...["Law L", "seconds"],
] as const;

/** Prints what each scenario did as a table, and what the table has no column for below it. */
export class ScenarioReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const ran = tests.flatMap((test) => {
      const result = test.meta().scenario;
      const seconds = ((test.diagnostic()?.duration ?? 0) / 1_000).toFixed(1);
      return result ? [{ name: test.name, result, seconds }] : [];
    });
    if (ran.length === 0) return;
    const rows = ran.map(({ name, result, seconds }) => [name, ...cellsOf(result), "holds", seconds]);
    const lines = [COLUMNS, COLUMNS.map(() => "--"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
    const notes = ran.flatMap(({ name, result }) => (result.notes ? [`- ${name}: ${result.notes}`] : []));
    process.stdout.write(`\n${[...lines, "", ...notes].join("\n")}\n`);
  }
}

function cellsOf(result: ScenarioResult): readonly string[] {
  const { seed, kills, calls, attempts, exact, estimated, unknown, notBilled } = result;
  return [seed, kills ?? "–", calls, attempts, exact, estimated, unknown, notBilled].map(String);
}
