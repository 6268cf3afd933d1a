import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERROR_TABLE } from "../../src/core/error-table.ts";
import { BROKEN_ANSWERS } from "./cases/broken-answers.ts";
import { FAILURE_WORDS } from "./cases/failure-words.ts";
import { REFUSALS } from "./cases/refusals.ts";
import { SLOW_PROVIDERS } from "./cases/slow-providers.ts";
import { UNREACHABLE } from "./cases/unreachable.ts";
import { renderFailures, renderFaults, withTables } from "./render-tables.ts";

const DOCUMENT = join(import.meta.dirname, "../../docs/failures.md");
const CASES = [...UNREACHABLE, ...SLOW_PROVIDERS, ...REFUSALS, ...BROKEN_ANSWERS];

describe("docs/failures.md", () => {
  /** `npx vitest run test/failures/tables.test.ts -u` writes them. */
  it("has the tables that the tests prove", async () => {
    const document = withTables(readFileSync(DOCUMENT, "utf8"), [renderFaults(CASES), renderFailures()]);
    await expect(document).toMatchFileSnapshot(DOCUMENT);
  });

  it("tells of every failure that a fault leads to, and of no other", () => {
    const met = new Set(
      CASES.flatMap(({ unary, stream }) => [unary.failure, stream.failure]).filter(
        (reason) => reason !== undefined,
      ),
    );
    expect([...met].toSorted()).toEqual(Object.keys(FAILURE_WORDS).toSorted());
  });

  it("names a fault once", () => {
    expect(new Set(CASES.map(({ fault }) => fault)).size).toBe(CASES.length);
  });
});

describe("the failures of the table", () => {
  it.each(Object.entries(FAILURE_WORDS))("%s reads as in the table of errors", (reason, words) => {
    const { code, httpStatus, retryable, errorType } = ERROR_TABLE[reason as keyof typeof FAILURE_WORDS];
    expect(words).toMatchObject({
      ...{ code: code.toUpperCase(), http: httpStatus, retry: retryable, errorType },
    });
  });
});
