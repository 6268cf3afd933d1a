import { describe, expect, it } from "vitest";
import { toInstantText } from "../../../src/core/instant.ts";

describe("the text of an instant", () => {
  const instants = [
    ...[0, 1, 999, 1_000, 1_001, -1, -999, -1_000, -1_001],
    ...[
      Date.UTC(2026, 10, 26, 5, 0, 0),
      Date.UTC(2026, 10, 26, 5, 0, 0, 7),
      Date.UTC(2026, 11, 31, 23, 59, 59, 999),
    ],
    ...[Date.UTC(9999, 11, 31, 23, 59, 59, 999), 253_402_300_800_000, 8.64e15, -8.64e15, -62_167_219_200_001],
  ];

  it("is that of toISOString, whatever came before it", () => {
    for (const first of instants)
      for (const second of instants) {
        toInstantText(new Date(first));
        expect(toInstantText(new Date(second))).toBe(new Date(second).toISOString());
      }
  });

  it("cannot be had of an invalid date, and the next one is right", () => {
    expect(() => toInstantText(new Date(Number.NaN))).toThrow(RangeError);
    expect(toInstantText(new Date(1_500))).toBe("1970-01-01T00:00:01.500Z");
  });
});
