import type { PicoUsd } from "./money.ts";

/** Picodollars per token of each bucket. A bucket without a price of its own has its fallback filled in already. */
export interface UnitPrices {
  readonly uncachedPicoUsdPerToken: PicoUsd;
  readonly cacheReadPicoUsdPerToken: PicoUsd;
  readonly cacheWritePicoUsdPerToken: PicoUsd;
  readonly textOutPicoUsdPerToken: PicoUsd;
  readonly reasoningOutPicoUsdPerToken: PicoUsd;
}

/** Applies to the whole attempt when its input exceeds `aboveTokensIn`; the highest that applies wins. */
export interface PriceTier {
  readonly aboveTokensIn: number;
  readonly unitPrices: UnitPrices;
}

/** One version of a price, as in force at one instant. */
export interface Price {
  /** Stable: the same content always has the same id, and the id never means another price. */
  readonly priceId: string;
  readonly provider: string;
  readonly model: string;
  readonly unitPrices: UnitPrices;
  readonly tiers: readonly PriceTier[];
  /** `genai-prices@0.1.8`, `correction`, `operator`, `demo`. */
  readonly source: string;
  /** Half-open validity `[validFrom, validTo)`; open ends are undefined. */
  readonly validFrom: Date | undefined;
  readonly validTo: Date | undefined;
  /** A daily window such as `01:00-04:00 UTC`, when the price depends on the time of day. */
  readonly window: string | undefined;
}

/** Finds the price in force. Synchronous and in memory: it is asked before every attempt. */
export interface PriceBook {
  find(query: { readonly provider: string; readonly model: string; readonly at: Date }): Price | undefined;
  /** All prices in force at an instant of the models that are named explicitly, for `ListModels`. */
  list(at: Date): readonly Price[];
}
