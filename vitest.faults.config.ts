import { defineConfig } from "vitest/config";
import { ScenarioReporter } from "./test/support/scenario-reporter.ts";

/** The long version of the fault harness: `npm run test:faults`. */
export default defineConfig({
  test: {
    include: [
      "test/faults/{harness,duplicates,stopped-readers}.test.ts",
      // The parts that are the same, short or long.
      "test/e2e/{database-absent,database-outage,disk-full}.test.ts",
    ],
    fileParallelism: false,
    testTimeout: 20_000,
    env: { FAULT_SCALE: process.env.FAULT_SCALE ?? "long" },
    reporters: ["verbose", new ScenarioReporter()],
    hookTimeout: 60_000,
    globalSetup: ["test/support/global-teardown.ts"],
    pool: "forks",
  },
});
