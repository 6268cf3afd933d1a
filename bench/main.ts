import { writeFileSync } from "node:fs";
import { compareBooks } from "./books.ts";
import { type BenchOptions, parseOptions, USAGE } from "./options.ts";
import { reportProfile } from "./profile-report.ts";
import { toMarkdown } from "./report.ts";
import { startRig } from "./rig.ts";
import { runScenarios } from "./scenarios.ts";
import { createWorkspace, type Workspace } from "./workspace.ts";

/** Nothing hangs longer than this; a full run takes about six minutes, more with longer windows. */
const MAX_RUN_MS = 900_000;

/** Resolves to the exit code: 0 when no call failed and the books agree. */
async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  setTimeout(() => {
    console.error("the run did not end in time");
    process.exit(1);
  }, MAX_RUN_MS).unref();
  const progress = (text: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);
  const workspace = createWorkspace();
  try {
    return await run(workspace, options, progress);
  } finally {
    await workspace.close();
  }
}

async function run(
  workspace: Workspace,
  options: BenchOptions,
  progress: (text: string) => void,
): Promise<number> {
  const startedAt = new Date();
  progress("starting database, upstream and gateway");
  const rig = await startRig(workspace, options);
  const findings = await runScenarios(rig, options, progress);
  progress("comparing the books");
  const books = await compareBooks(rig.gateway, rig.upstream, findings.made);
  const exitCode = await rig.gateway.child.stop();

  const report = { options, startedAt, cores: rig.cores.description, findings, books };
  console.log(toMarkdown(report));
  if (rig.profileDirectory !== undefined) {
    for (const stretch of findings.stretches)
      console.log(`\n${reportProfile(rig.profileDirectory, stretch)}`);
  }
  if (options.jsonFile !== undefined) writeFileSync(options.jsonFile, toJson(report));
  if (exitCode !== 0) console.error(`the gateway exited with ${exitCode}`);
  return findings.failures.size === 0 && books.differences.length === 0 && exitCode === 0 ? 0 : 1;
}

function toJson(report: unknown): string {
  const replace = (_key: string, value: unknown) => {
    if (typeof value === "bigint") return value.toString();
    if (value instanceof Map) return Object.fromEntries(value);
    if (value instanceof Set) return [...value];
    return value;
  };
  return `${JSON.stringify(report, replace, 2)}\n`;
}

main().then(
  // Ends the process by itself: the embedded PostgreSQL would end it with 0 whatever happened.
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    if (error instanceof TypeError) console.error(USAGE);
    process.exit(2);
  },
);
