import { expect, test } from "vitest";
import { formatUsd, formatUsdPerMillionTokens } from "../../src/core/money.ts";
import { estimatedUsage } from "../../src/core/usage.ts";
import { operatorPrices } from "../../src/pricing/operator-prices.ts";
import { priceAttempt } from "../../src/pricing/price-attempt.ts";
import { loadPriceBook } from "../../src/pricing/price-book.ts";

// Gateways have mixed up prices per token, per 1,000 and per 1,000,000 tokens, and were off by the same factor.

test("a million tokens cost the list price of a million tokens, from every source of prices", async () => {
  const book = await loadPriceBook({
    operator: operatorPrices([{ provider: "house", model: "m", input: "0.25", output: "2" }]),
  });
  const at = new Date("2026-11-23T12:00:00Z");
  for (const [provider, model, input, output] of [
    ["openai", "gpt-5-mini", "0.250000", "2.000000"],
    ["deepseek", "deepseek-flash", "0.150000", "0.600000"],
    ["huggingface", "Qwen/Qwen3-32B:groq", "0.290000", "0.590000"],
    ["house", "m", "0.250000", "2.000000"],
  ] as const) {
    const price = book.find({ provider, model, at });
    if (!price) throw new Error(`no price of ${model}`);
    expect(formatUsdPerMillionTokens(price.unitPrices.uncachedPicoUsdPerToken)).toBe(input);
    const costOf = (tokensIn: number, tokensOut: number) =>
      formatUsd(priceAttempt(estimatedUsage(tokensIn, tokensOut), price).costPicoUsd);
    expect(costOf(1_000_000, 0)).toBe(`${input}000000`);
    expect(costOf(0, 1_000_000)).toBe(`${output}000000`);
  }
});

test("one token costs a millionth of it", () => {
  const [version] = operatorPrices([{ provider: "house", model: "m", input: "0.25", output: "2" }]);
  if (!version) throw new Error("no price");
  expect(formatUsd(priceAttempt(estimatedUsage(1, 0), version.price).costPicoUsd)).toBe("0.000000250000");
});
