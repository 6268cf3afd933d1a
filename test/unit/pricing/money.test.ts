import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatUsd,
  formatUsdPerMillionTokens,
  PICO_USD_PER_USD,
  parseUsd,
  parseUsdPerMillionTokens,
} from "../../../src/core/money.ts";

const storable = fc.bigInt({ min: -(10n ** 24n) + 1n, max: 10n ** 24n - 1n });

describe("amounts of USD", () => {
  test.each([
    [0n, "0.000000000000"],
    [1n, "0.000000000001"],
    [-1n, "-0.000000000001"],
    [123_450_000n, "0.000123450000"],
    [PICO_USD_PER_USD, "1.000000000000"],
    [-1_500_000_000_000n, "-1.500000000000"],
    [10n ** 24n - 1n, "999999999999.999999999999"],
  ])("%s picodollars are written as %s", (amount, text) => {
    expect(formatUsd(amount)).toBe(text);
    expect(parseUsd(text)).toBe(amount);
  });

  test("what was written is read back unchanged", () => {
    fc.assert(fc.property(storable, (amount) => parseUsd(formatUsd(amount)) === amount));
  });

  test("are always written with twelve places", () => {
    fc.assert(fc.property(fc.bigInt(), (amount) => /^-?\d+\.\d{12}$/.test(formatUsd(amount))));
  });

  test.each([
    "",
    " 1",
    "1 ",
    "1.",
    ".5",
    "+1",
    "1e3",
    "1,5",
    "0x10",
    "NaN",
    "1.0000000000001",
    "1234567890123",
    "--1",
    "1\n",
  ])("%j is not an amount", (text) => {
    expect(() => parseUsd(text)).toThrow(RangeError);
  });
});

describe("prices per 1M tokens", () => {
  test.each([
    ["0", 0n],
    ["0.15", 150_000n],
    ["0.003625", 3_625n],
    ["0.000001", 1n],
    ["150", 150_000_000n],
    ["999999.999999", 999_999_999_999n],
  ])("$%s per 1M tokens is %s picodollars per token", (text, picoUsdPerToken) => {
    expect(parseUsdPerMillionTokens(text)).toBe(picoUsdPerToken);
    expect(parseUsdPerMillionTokens(formatUsdPerMillionTokens(picoUsdPerToken))).toBe(picoUsdPerToken);
  });

  test.each(["", "-1", "0.0000001", "1e-7", "1e21", "Infinity", "NaN", "1000000", "1/2"])(
    "%j is refused",
    (text) => {
      expect(() => parseUsdPerMillionTokens(text)).toThrow(RangeError);
    },
  );

  test("a negative price cannot be written", () => {
    expect(() => formatUsdPerMillionTokens(-1n)).toThrow(RangeError);
  });

  test("a million tokens at a price cost what the price says", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 999_999_999_999n }), (picoUsdPerToken) => {
        const usdPerMillion = formatUsdPerMillionTokens(picoUsdPerToken);
        expect(formatUsd(picoUsdPerToken * 1_000_000n)).toBe(`${usdPerMillion}000000`);
      }),
    );
  });
});
