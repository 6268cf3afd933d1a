import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  estimatedUsage,
  MAX_TOKENS_PER_ATTEMPT,
  parseUsage,
  type RawUsage,
} from "../../../src/core/usage.ts";

describe("usage as a provider states it", () => {
  test("is split into buckets that do not overlap", () => {
    const report = parseUsage({
      tokensIn: 1_000,
      tokensOut: 300,
      cacheReadTokensIn: 600,
      cacheWriteTokensIn: 100,
      reasoningTokensOut: 250,
    });
    expect(report).toEqual({
      kind: "reported",
      usage: {
        tokensIn: 1_000,
        tokensOut: 300,
        uncachedTokensIn: 300,
        cacheReadTokensIn: 600,
        cacheWriteTokensIn: 100,
        textTokensOut: 50,
        reasoningTokensOut: 250,
      },
    });
  });

  test("keeps a stated zero apart from what was not stated", () => {
    const stated = parseUsage({ tokensIn: 0, tokensOut: 0, cacheReadTokensIn: 0, cacheWriteTokensIn: null });
    expect(stated).toMatchObject({
      kind: "reported",
      usage: {
        tokensIn: 0,
        cacheReadTokensIn: 0,
        cacheWriteTokensIn: undefined,
        reasoningTokensOut: undefined,
      },
    });
    expect(parseUsage({ tokensIn: undefined, tokensOut: null })).toEqual({ kind: "absent" });
  });

  test("takes a JSON -0 for zero", () => {
    expect(parseUsage({ tokensIn: -0, tokensOut: 1 })).toMatchObject({
      usage: { tokensIn: 0, uncachedTokensIn: 0 },
    });
  });

  test.each([
    ["NEGATIVE", { tokensIn: -1, tokensOut: 1 }],
    ["NEGATIVE", { tokensIn: 1, tokensOut: 1, reasoningTokensOut: -1 }],
    ["NOT_AN_INTEGER", { tokensIn: Number.NaN, tokensOut: 1 }],
    ["NOT_AN_INTEGER", { tokensIn: Number.POSITIVE_INFINITY, tokensOut: 1 }],
    ["NOT_AN_INTEGER", { tokensIn: "12", tokensOut: 1 }],
    ["NOT_AN_INTEGER", { tokensIn: 1, tokensOut: 1.5 }],
    ["NOT_AN_INTEGER", { tokensIn: 1, tokensOut: 1, cacheReadTokensIn: {} }],
    ["NOT_AN_INTEGER", { tokensIn: 1n, tokensOut: 1 }],
    ["TOO_LARGE", { tokensIn: 2 ** 53 + 2, tokensOut: 1 }],
    ["TOO_LARGE", { tokensIn: 1, tokensOut: MAX_TOKENS_PER_ATTEMPT + 1 }],
    ["INCOMPLETE", { tokensIn: 1, tokensOut: undefined }],
    ["INCOMPLETE", { tokensIn: null, tokensOut: 1 }],
    ["CACHE_EXCEEDS_INPUT", { tokensIn: 10, tokensOut: 1, cacheReadTokensIn: 11 }],
    ["CACHE_EXCEEDS_INPUT", { tokensIn: 10, tokensOut: 1, cacheReadTokensIn: 6, cacheWriteTokensIn: 5 }],
    ["REASONING_EXCEEDS_OUTPUT", { tokensIn: 10, tokensOut: 1, reasoningTokensOut: 2 }],
  ])("is not believed: %s in %o", (anomaly, raw: RawUsage) => {
    expect(parseUsage(raw)).toEqual({ kind: "invalid", anomaly });
  });

  const anything = fc.oneof(
    { arbitrary: fc.integer({ min: 0, max: 5_000 }), weight: 20 },
    fc.constantFrom(
      undefined,
      null,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      -0,
      -1,
      2 ** 53,
      2 ** 60,
      0.1,
      "7",
      true,
    ),
    fc.double(),
    fc.maxSafeInteger(),
    fc.bigInt(),
    fc.jsonValue(),
  );

  test("whatever it is, believed buckets are not negative and sum to the totals", () => {
    let believed = 0;
    fc.assert(
      fc.property(
        fc.record({
          tokensIn: anything,
          tokensOut: anything,
          cacheReadTokensIn: anything,
          cacheWriteTokensIn: anything,
          reasoningTokensOut: anything,
        }),
        (raw) => {
          const report = parseUsage(raw);
          if (report.kind !== "reported") return;
          believed += 1;
          const { usage } = report;
          for (const tokens of Object.values(usage)) {
            if (tokens !== undefined) expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true);
          }
          expect(
            usage.uncachedTokensIn + (usage.cacheReadTokensIn ?? 0) + (usage.cacheWriteTokensIn ?? 0),
          ).toBe(usage.tokensIn);
          expect(usage.textTokensOut + (usage.reasoningTokensOut ?? 0)).toBe(usage.tokensOut);
          expect(usage.tokensIn === raw.tokensIn).toBe(true);
          expect(usage.tokensOut === raw.tokensOut).toBe(true);
        },
      ),
      { numRuns: 20_000, seed: 1 },
    );
    expect(believed).toBeGreaterThan(500);
  });

  test("an estimate assumes neither cache nor reasoning", () => {
    expect(estimatedUsage(10, 4)).toEqual({
      tokensIn: 10,
      tokensOut: 4,
      uncachedTokensIn: 10,
      cacheReadTokensIn: undefined,
      cacheWriteTokensIn: undefined,
      textTokensOut: 4,
      reasoningTokensOut: undefined,
    });
  });
});
