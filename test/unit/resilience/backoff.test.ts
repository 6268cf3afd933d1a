import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffDelayMs, DEFAULT_BACKOFF } from "../../../src/resilience/backoff.ts";

const ceiling = { ...DEFAULT_BACKOFF, random: () => 1 - Number.EPSILON };

describe("a backoff", () => {
  it("doubles its ceiling from half a second up to ten", () => {
    const delays = [1, 2, 3, 4, 5, 6, 7].map((retry) =>
      Math.round(backoffDelayMs(retry, undefined, ceiling)),
    );
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  it("is drawn from the whole range below the ceiling", () => {
    expect(backoffDelayMs(3, undefined, { ...DEFAULT_BACKOFF, random: () => 0 })).toBe(0);
    expect(backoffDelayMs(3, undefined, { ...DEFAULT_BACKOFF, random: () => 0.25 })).toBe(500);
  });

  it("obeys a longer wait that the provider asks for, and keeps its own when that is longer", () => {
    expect(backoffDelayMs(1, 4_000, ceiling)).toBe(4_000);
    expect(backoffDelayMs(1, 45_000, ceiling)).toBe(45_000);
    expect(Math.round(backoffDelayMs(4, 100, ceiling))).toBe(4_000);
  });

  it("spreads callers evenly", () => {
    const delays = Array.from({ length: 2_000 }, () => backoffDelayMs(2, undefined, DEFAULT_BACKOFF));
    const below = delays.filter((delayMs) => delayMs < 500).length;
    // Five standard deviations of a fair coin.
    expect(Math.abs(below - 1_000)).toBeLessThan(112);
  });

  it("lies between what was asked for and the ceiling, for every retry", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.option(fc.nat(60_000), { nil: undefined }),
        (retry, retryAfterMs) => {
          const delayMs = backoffDelayMs(retry, retryAfterMs, DEFAULT_BACKOFF);
          expect(delayMs).toBeGreaterThanOrEqual(retryAfterMs ?? 0);
          expect(delayMs).toBeLessThanOrEqual(Math.max(DEFAULT_BACKOFF.maxMs, retryAfterMs ?? 0));
        },
      ),
    );
  });
});
