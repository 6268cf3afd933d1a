import { expect, test } from "vitest";
import { parseUsage } from "../../src/core/usage.ts";
import { operatorPrices } from "../../src/pricing/operator-prices.ts";
import { priceAttempt } from "../../src/pricing/price-attempt.ts";

// Gateways have added cached tokens to a total that includes them, or charged them at both prices.

const [version] = operatorPrices([
  { provider: "p", model: "m", input: 3, output: 15, cache_read: "0.30", cache_write: "3.75", reasoning: 15 },
]);

test("cached tokens are taken out of the input and charged at their own price only", () => {
  const report = parseUsage({
    tokensIn: 10_500,
    tokensOut: 1_500,
    cacheReadTokensIn: 8_000,
    cacheWriteTokensIn: 2_000,
  });
  if (report.kind !== "reported" || !version) throw new Error("neither usage nor price");
  const { usage } = report;
  expect(usage.uncachedTokensIn).toBe(500);
  expect(usage.uncachedTokensIn + 8_000 + 2_000).toBe(usage.tokensIn);
  // 500 × 3 + 8,000 × 0.30 + 2,000 × 3.75 + 1,500 × 15 millionths of a dollar
  expect(priceAttempt(usage, version.price).costPicoUsd).toBe(
    (1_500n + 2_400n + 7_500n + 22_500n) * 1_000_000n,
  );
});

test("reasoning tokens are part of the output, not on top of it", () => {
  const report = parseUsage({ tokensIn: 0, tokensOut: 1_000, reasoningTokensOut: 900 });
  if (report.kind !== "reported" || !version) throw new Error("neither usage nor price");
  expect(priceAttempt(report.usage, version.price).costPicoUsd).toBe(15_000n * 1_000_000n);
});

test("at equal prices the cost does not depend on what was cached", () => {
  const [flat] = operatorPrices([{ provider: "p", model: "m", input: 2, output: 4 }]);
  if (!flat) throw new Error("no price");
  const costs = [0, 1, 400, 1_000].map((cacheReadTokensIn) => {
    const report = parseUsage({ tokensIn: 1_000, tokensOut: 10, cacheReadTokensIn });
    return report.kind === "reported" ? priceAttempt(report.usage, flat.price).costPicoUsd : undefined;
  });
  expect(new Set(costs)).toEqual(new Set([2_040_000_000n]));
});
