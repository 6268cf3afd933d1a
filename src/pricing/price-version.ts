import { createHash } from "node:crypto";
import type { PicoUsd } from "../core/money.ts";
import type { Price, PriceTier, UnitPrices } from "../core/price.ts";
import { isScheduled, type Schedule, schedulesOverlap } from "./schedule.ts";

/** Hex digits of the content hash in a price id: 48 bits, within one provider and model. */
const HASH_DIGITS = 12;

/** A model as a provider knows it. */
export interface ModelName {
  readonly provider: string;
  readonly model: string;
}

/** A key for maps; case is ignored, as every price list does. */
export function modelKey({ provider, model }: ModelName): string {
  return `${provider}/${model}`.toLowerCase();
}

/** A price together with what decides when it is in force. */
export interface PriceVersion {
  readonly price: Price;
  /** Undefined: at every hour of its validity. */
  readonly schedule: Schedule | undefined;
}

export interface PriceVersionOptions extends ModelName {
  readonly unitPrices: UnitPrices;
  readonly tiers?: readonly PriceTier[];
  readonly source: string;
  /** Inclusive. Undefined: since ever. */
  readonly validFrom?: Date | undefined;
  /** Exclusive. Undefined: until further notice. */
  readonly validTo?: Date | undefined;
  readonly schedule?: Schedule | undefined;
}

/** Makes a version; its `priceId` is `provider/model@` and a hash of everything that the price consists of. */
export function createPriceVersion(options: PriceVersionOptions): PriceVersion {
  const { provider, model, unitPrices, source, validFrom, validTo, schedule } = options;
  const tiers = (options.tiers ?? []).toSorted((a, b) => a.aboveTokensIn - b.aboveTokensIn);
  // An array, so that the order of keys in an object can never change an id.
  const content = [
    provider,
    model,
    listUnitPrices(unitPrices),
    tiers.map((tier) => [tier.aboveTokensIn, ...listUnitPrices(tier.unitPrices)]),
    validFrom?.toISOString() ?? null,
    validTo?.toISOString() ?? null,
    schedule?.text ?? null,
    source,
  ];
  const hash = createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, HASH_DIGITS);
  const priceId = `${provider}/${model}@${hash}`;
  const window = schedule?.text;
  return {
    schedule,
    price: { priceId, provider, model, unitPrices, tiers, source, validFrom, validTo, window },
  };
}

/** Half-open validity and, when there is one, the schedule. */
export function isInForce({ price, schedule }: PriceVersion, atMs: number): boolean {
  if (price.validFrom !== undefined && atMs < price.validFrom.getTime()) return false;
  if (price.validTo !== undefined && atMs >= price.validTo.getTime()) return false;
  return isScheduled(schedule, atMs);
}

/** Could both be in force at one instant? The provider and the model are not compared. */
export function versionsOverlap(one: PriceVersion, other: PriceVersion): boolean {
  const from = Math.max(startMs(one), startMs(other));
  const to = Math.min(endMs(one), endMs(other));
  return from < to && schedulesOverlap(one.schedule, other.schedule);
}

/** Prices per token; those left out cost as much as the tokens that they are part of. */
export interface BucketPrices {
  readonly inputPicoUsdPerToken: PicoUsd;
  readonly outputPicoUsdPerToken: PicoUsd;
  /** Default: the input price. */
  readonly cacheReadPicoUsdPerToken?: PicoUsd | undefined;
  /** Default: the input price. */
  readonly cacheWritePicoUsdPerToken?: PicoUsd | undefined;
  /** Default: the output price. */
  readonly reasoningPicoUsdPerToken?: PicoUsd | undefined;
}

export function toUnitPrices(prices: BucketPrices): UnitPrices {
  return {
    uncachedPicoUsdPerToken: prices.inputPicoUsdPerToken,
    cacheReadPicoUsdPerToken: prices.cacheReadPicoUsdPerToken ?? prices.inputPicoUsdPerToken,
    cacheWritePicoUsdPerToken: prices.cacheWritePicoUsdPerToken ?? prices.inputPicoUsdPerToken,
    textOutPicoUsdPerToken: prices.outputPicoUsdPerToken,
    reasoningOutPicoUsdPerToken: prices.reasoningPicoUsdPerToken ?? prices.outputPicoUsdPerToken,
  };
}

const startMs = ({ price }: PriceVersion): number => price.validFrom?.getTime() ?? Number.NEGATIVE_INFINITY;
const endMs = ({ price }: PriceVersion): number => price.validTo?.getTime() ?? Number.POSITIVE_INFINITY;

function listUnitPrices(unitPrices: UnitPrices): string[] {
  return [
    unitPrices.uncachedPicoUsdPerToken,
    unitPrices.cacheReadPicoUsdPerToken,
    unitPrices.cacheWritePicoUsdPerToken,
    unitPrices.textOutPicoUsdPerToken,
    unitPrices.reasoningOutPicoUsdPerToken,
  ].map(String);
}
