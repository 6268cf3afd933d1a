import type { AttemptReport } from "../core/gateway.ts";
import { toInstantText } from "../core/instant.ts";
import type { AttemptIntent } from "../core/ledger.ts";
import type { PicoUsd } from "../core/money.ts";
import type { Price, UnitPrices } from "../core/price.ts";

/** Intents and prices as the journal keeps them: JSON with bigints and instants as text. */

export function encodePrice(price: Price): string {
  return JSON.stringify({
    ...price,
    unitPrices: encodeUnitPrices(price.unitPrices),
    tiers: price.tiers.map((tier) => ({ ...tier, unitPrices: encodeUnitPrices(tier.unitPrices) })),
  });
}

export function decodePrice(json: string): Price {
  const stored = JSON.parse(json) as Stored<Price>;
  return {
    ...stored,
    unitPrices: decodeUnitPrices(stored.unitPrices),
    tiers: stored.tiers.map((tier) => ({ ...tier, unitPrices: decodeUnitPrices(tier.unitPrices) })),
    validFrom: stored.validFrom === undefined ? undefined : new Date(stored.validFrom),
    validTo: stored.validTo === undefined ? undefined : new Date(stored.validTo),
    window: stored.window,
  };
}

/** The price is kept apart from the intent, under its id. */
export function encodeIntent(intent: AttemptIntent): string {
  return JSON.stringify({
    ...intent,
    price: undefined,
    priceId: intent.price?.priceId,
    // As it would be anyway: `JSON.stringify` takes a third of the time for what has no Date in it.
    occurredAt: toInstantText(intent.occurredAt),
    earlierAttempts: intent.earlierAttempts?.map(encodeReport),
  });
}

export function decodeIntent(json: string, prices: ReadonlyMap<string, Price>): AttemptIntent {
  const { priceId, ...stored } = JSON.parse(json) as Stored<Omit<AttemptIntent, "price">> & {
    readonly priceId?: string;
  };
  return {
    ...stored,
    endUser: stored.endUser,
    occurredAt: new Date(stored.occurredAt),
    earlierAttempts: stored.earlierAttempts?.map(decodeReport),
    price: priceId === undefined ? undefined : prices.get(priceId),
  };
}

const encodeReport = (report: AttemptReport): Stored<AttemptReport> => ({
  ...report,
  costPicoUsd: report.costPicoUsd?.toString(),
});

/** Of JSON, where the cost is text. */
export const decodeReport = <T extends { readonly costPicoUsd?: PicoUsd | string | undefined }>(
  stored: T,
) => ({
  ...stored,
  costPicoUsd: stored.costPicoUsd === undefined ? undefined : BigInt(stored.costPicoUsd),
});

/** What JSON makes of a type: text for bigints and instants. */
type Stored<T> = T extends bigint | Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly Stored<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: Stored<T[Key]> }
      : T;

const UNIT_PRICE_NAMES = [
  "uncachedPicoUsdPerToken",
  "cacheReadPicoUsdPerToken",
  "cacheWritePicoUsdPerToken",
  "textOutPicoUsdPerToken",
  "reasoningOutPicoUsdPerToken",
] as const satisfies readonly (keyof UnitPrices)[];

function encodeUnitPrices(prices: UnitPrices): Stored<UnitPrices> {
  return Object.fromEntries(
    UNIT_PRICE_NAMES.map((name) => [name, String(prices[name])]),
  ) as Stored<UnitPrices>;
}

function decodeUnitPrices(prices: Stored<UnitPrices>): UnitPrices {
  return Object.fromEntries(UNIT_PRICE_NAMES.map((name) => [name, BigInt(prices[name])])) as Record<
    (typeof UNIT_PRICE_NAMES)[number],
    bigint
  >;
}
