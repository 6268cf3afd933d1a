import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERROR_TABLE } from "../../../src/core/error-table.ts";

const README = readFileSync(join(import.meta.dirname, "../../../README.md"), "utf8");

describe("the README's table of errors", () => {
  it("says what the error table says, row by row", () => {
    const rows = README.split("\n").filter((line) => /^\| `[A-Z_]+` \| [A-Z_]+ \| \d{3} \|/.test(line));
    const expected = Object.entries(ERROR_TABLE).map(
      ([reason, { code, httpStatus, retryable, errorType, description }]) =>
        `| \`${reason}\` | ${code.toUpperCase()} | ${httpStatus} | ${retryable ? "yes" : "no"} | \`${errorType}\` | ${description} |`,
    );
    expect(rows).toEqual(expected);
  });
});
