import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatUsd } from "../../../src/core/money.ts";
import type { Price } from "../../../src/core/price.ts";
import { parseUsage, type Usage } from "../../../src/core/usage.ts";
import { operatorPrices } from "../../../src/pricing/operator-prices.ts";
import { priceAttempt } from "../../../src/pricing/price-attempt.ts";
import { createPriceVersion } from "../../../src/pricing/price-version.ts";

function usageOf(raw: Parameters<typeof parseUsage>[0]): Usage {
  const report = parseUsage(raw);
  if (report.kind !== "reported") throw new Error(`not a usage: ${JSON.stringify(report)}`);
  return report.usage;
}

function priceOf(...list: Parameters<typeof operatorPrices>): Price {
  const [version] = operatorPrices(...list);
  if (!version) throw new Error("no price");
  return version.price;
}

const price = priceOf([
  {
    provider: "p",
    model: "m",
    input: "3",
    output: "15",
    cache_read: "0.30",
    cache_write: "3.75",
    tiers: [
      { above_tokens_in: 500_000, input: 12, output: 30 },
      { above_tokens_in: 200_000, input: 6, output: 22.5, cache_read: 0.6 },
    ],
  },
]);

describe("an attempt's cost", () => {
  test("is each bucket at its own price", () => {
    const usage = usageOf({
      tokensIn: 1_800,
      tokensOut: 150,
      cacheReadTokensIn: 800,
      cacheWriteTokensIn: 200,
      reasoningTokensOut: 50,
    });
    const { costPicoUsd } = priceAttempt({ ...usage }, price);
    // 800 × 3 + 800 × 0.30 + 200 × 3.75 + 150 × 15 = 2,400 + 240 + 750 + 2,250 millionths of a dollar
    expect(formatUsd(costPicoUsd)).toBe("0.005640000000");
  });

  test("counts a bucket that was not stated as nothing", () => {
    expect(priceAttempt(usageOf({ tokensIn: 10, tokensOut: 1 }), price).costPicoUsd).toBe(45_000_000n);
    expect(priceAttempt(usageOf({ tokensIn: 0, tokensOut: 0 }), price).costPicoUsd).toBe(0n);
  });

  test.each([
    [200_000, 3_000_000n],
    [200_001, 6_000_000n],
    [500_000, 6_000_000n],
    [500_001, 12_000_000n],
  ])(
    "with %i input tokens is charged at %s picodollars for every one of them",
    (tokensIn, picoUsdPerToken) => {
      const { costPicoUsd, unitPrices } = priceAttempt(usageOf({ tokensIn, tokensOut: 0 }), price);
      expect(unitPrices.uncachedPicoUsdPerToken).toBe(picoUsdPerToken);
      expect(costPicoUsd).toBe(BigInt(tokensIn) * picoUsdPerToken);
    },
  );

  test("lets cached tokens count towards the tier", () => {
    const { unitPrices } = priceAttempt(
      usageOf({ tokensIn: 200_001, tokensOut: 1, cacheReadTokensIn: 200_000 }),
      price,
    );
    expect(unitPrices.cacheReadPicoUsdPerToken).toBe(600_000n);
    expect(unitPrices.cacheWritePicoUsdPerToken).toBe(6_000_000n);
    expect(unitPrices.textOutPicoUsdPerToken).toBe(22_500_000n);
  });

  test("does not depend on the order of the tiers", () => {
    const reversed: Price = { ...price, tiers: price.tiers.toReversed() };
    const usage = usageOf({ tokensIn: 600_000, tokensOut: 7 });
    expect(priceAttempt(usage, reversed)).toEqual(priceAttempt(usage, price));
  });
});

const tokens = fc.nat({ max: 1_000_000_000 });
const picoUsdPerToken = fc.bigInt({ min: 0n, max: 999_999_999_999n });
const arbitraryUsage = fc
  .record({
    uncached: tokens,
    read: fc.option(tokens),
    write: fc.option(tokens),
    text: tokens,
    reasoning: fc.option(tokens),
  })
  .map(
    ({ uncached, read, write, text, reasoning }): Usage => ({
      tokensIn: uncached + (read ?? 0) + (write ?? 0),
      tokensOut: text + (reasoning ?? 0),
      uncachedTokensIn: uncached,
      cacheReadTokensIn: read ?? undefined,
      cacheWriteTokensIn: write ?? undefined,
      textTokensOut: text,
      reasoningTokensOut: reasoning ?? undefined,
    }),
  );
const arbitraryPrice = fc
  .tuple(picoUsdPerToken, picoUsdPerToken, picoUsdPerToken, picoUsdPerToken, picoUsdPerToken)
  .map(
    ([uncached, read, write, text, reasoning]) =>
      createPriceVersion({
        provider: "p",
        model: "m",
        source: "test",
        unitPrices: {
          uncachedPicoUsdPerToken: uncached,
          cacheReadPicoUsdPerToken: read,
          cacheWritePicoUsdPerToken: write,
          textOutPicoUsdPerToken: text,
          reasoningOutPicoUsdPerToken: reasoning,
        },
      }).price,
  );

describe("for any usage and any price", () => {
  test("the cost is the exact sum of tokens × unit price", () => {
    fc.assert(
      fc.property(arbitraryUsage, arbitraryPrice, (usage, anyPrice) => {
        const { costPicoUsd, unitPrices } = priceAttempt(usage, anyPrice);
        const expected =
          BigInt(usage.uncachedTokensIn) * unitPrices.uncachedPicoUsdPerToken +
          BigInt(usage.cacheReadTokensIn ?? 0) * unitPrices.cacheReadPicoUsdPerToken +
          BigInt(usage.cacheWriteTokensIn ?? 0) * unitPrices.cacheWritePicoUsdPerToken +
          BigInt(usage.textTokensOut) * unitPrices.textOutPicoUsdPerToken +
          BigInt(usage.reasoningTokensOut ?? 0) * unitPrices.reasoningOutPicoUsdPerToken;
        expect(costPicoUsd).toBe(expected);
        expect(unitPrices).toBe(anyPrice.unitPrices);
      }),
    );
  });

  test("two attempts cost as much as one with the tokens of both", () => {
    const sum = (a: number | undefined, b: number | undefined) =>
      a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
    fc.assert(
      fc.property(arbitraryUsage, arbitraryUsage, arbitraryPrice, (one, other, anyPrice) => {
        const both: Usage = {
          tokensIn: one.tokensIn + other.tokensIn,
          tokensOut: one.tokensOut + other.tokensOut,
          uncachedTokensIn: one.uncachedTokensIn + other.uncachedTokensIn,
          cacheReadTokensIn: sum(one.cacheReadTokensIn, other.cacheReadTokensIn),
          cacheWriteTokensIn: sum(one.cacheWriteTokensIn, other.cacheWriteTokensIn),
          textTokensOut: one.textTokensOut + other.textTokensOut,
          reasoningTokensOut: sum(one.reasoningTokensOut, other.reasoningTokensOut),
        };
        const apart = priceAttempt(one, anyPrice).costPicoUsd + priceAttempt(other, anyPrice).costPicoUsd;
        expect(priceAttempt(both, anyPrice).costPicoUsd).toBe(apart);
      }),
    );
  });
});
