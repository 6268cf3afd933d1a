import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatUsd } from "../../../src/core/money.ts";
import { parseStatedCost } from "../../../src/providers/stated-cost.ts";

describe("a cost that a provider states as a JSON number", () => {
  it.each([
    ["0", 0n],
    ["-0", 0n],
    ["0.00123457", 1_234_570_000n],
    ["1e-12", 1n],
    ["1.5e-7", 150_000n],
    ["123.000000000001", 123_000_000_000_001n],
    ["999999999999", 999_999_999_999n * 10n ** 12n],
    // What floats leave behind, and amounts below a picodollar: half up.
    ["0.00010500000000000001", 105_000_000n],
    ["0.0000000000005", 1n],
    ["0.00000000000049", 0n],
    ["4e-40", 0n],
  ])("%s is read exactly", (json, picoUsd) => {
    expect(parseStatedCost(JSON.parse(json))).toBe(picoUsd);
  });

  it("may be decimal text", () => {
    expect(parseStatedCost("0.25")).toBe(250_000_000_000n);
  });

  it.each([[-0.1], [1e12], [1e300], [Number.NaN], [""], ["1,5"], ["0x1"], [null], [undefined], [{}], [true]])(
    "%s is none",
    (cost) => {
      expect(parseStatedCost(cost)).toBeUndefined();
    },
  );

  it("is what was written, for every amount of at most 15 digits", () => {
    const amounts = fc.bigInt({ min: 0n, max: 10n ** 15n - 1n });
    fc.assert(fc.property(amounts, (picoUsd) => parseStatedCost(JSON.parse(formatUsd(picoUsd))) === picoUsd));
  });
});
