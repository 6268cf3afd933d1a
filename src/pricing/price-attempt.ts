import type { PicoUsd } from "../core/money.ts";
import type { Price, UnitPrices } from "../core/price.ts";
import type { Usage } from "../core/usage.ts";

export interface AttemptCost {
  /** Exact: a sum of tokens × picodollars per token, nothing is rounded. */
  readonly costPicoUsd: PicoUsd;
  /** The unit prices that were applied: those of the tier that the attempt's input reached. */
  readonly unitPrices: UnitPrices;
}

/**
 * What an attempt costs. The tier is chosen by the whole input (cached tokens included) and then holds for every
 * token of the attempt. A bucket that the provider did not state counts as nothing, because its tokens are in
 * another bucket. The same function prices unary answers, streams and estimates.
 */
export function priceAttempt(usage: Usage, price: Price): AttemptCost {
  const unitPrices = findUnitPrices(price, usage.tokensIn);
  const costPicoUsd =
    cost(usage.uncachedTokensIn, unitPrices.uncachedPicoUsdPerToken) +
    cost(usage.cacheReadTokensIn, unitPrices.cacheReadPicoUsdPerToken) +
    cost(usage.cacheWriteTokensIn, unitPrices.cacheWritePicoUsdPerToken) +
    cost(usage.textTokensOut, unitPrices.textOutPicoUsdPerToken) +
    cost(usage.reasoningTokensOut, unitPrices.reasoningOutPicoUsdPerToken);
  return { costPicoUsd, unitPrices };
}

function findUnitPrices(price: Price, tokensIn: number): UnitPrices {
  let { unitPrices } = price;
  let aboveTokensIn = -1;
  for (const tier of price.tiers) {
    if (tokensIn > tier.aboveTokensIn && tier.aboveTokensIn > aboveTokensIn) {
      ({ unitPrices, aboveTokensIn } = tier);
    }
  }
  return unitPrices;
}

/** Zero is answered before the bigint is made: most attempts have no cache and no reasoning tokens. */
function cost(tokens: number | undefined, picoUsdPerToken: PicoUsd): PicoUsd {
  return tokens ? BigInt(tokens) * picoUsdPerToken : 0n;
}
