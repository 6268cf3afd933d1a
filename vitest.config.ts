import { defineConfig } from "vitest/config";

/** They measure time, or take the whole machine: nothing else runs beside them. */
const ALONE = [
  "test/e2e/{database-outage,database-slow,overload,shutdown}.test.ts",
  "test/failures/*.test.ts",
  "test/faults/*.test.ts",
  "test/integration/drained-calls.test.ts",
  "test/{anthropic,openai}/errors.test.ts",
  "test/regression/interrupted-calls-are-on-the-ledger-within-250-ms.test.ts",
];

export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 60_000,
    globalSetup: ["test/support/global-teardown.ts"],
    pool: "forks",
    projects: [
      {
        extends: true,
        test: {
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "alone", include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
