import type { ConditionalPrice, findProvider, ModelInfo, ModelPrice } from "@pydantic/genai-prices";
import { type PicoUsd, parseUsdPerMillionTokens } from "../core/money.ts";
import type { PriceTier, UnitPrices } from "../core/price.ts";
import { PROVIDER_TYPES, type ProviderTypeName } from "../core/provider-types.ts";
import { findModel } from "./match-model.ts";
import { createPriceVersion, type ModelName, type PriceVersion, toUnitPrices } from "./price-version.ts";
import { createSchedule, type DailyWindow } from "./schedule.ts";

/** The package's version, which it does not export; a test holds it against package.json. */
export const GENAI_PRICES_SOURCE = "genai-prices@0.1.8";

/** What a price list knows of one model. */
export interface CatalogEntry {
  /** The list's own name of the model; a snapshot or an alias means the same model. */
  readonly model: string;
  /** The first that is in force counts. Empty: the model is listed, but has no price that can be used. */
  readonly versions: readonly PriceVersion[];
  /** Why `versions` is empty. */
  readonly unusable: string | undefined;
  /** Tokens of input and output together; undefined when the list does not say. */
  readonly contextWindowTokens: number | undefined;
}

/** A price list that knows models by name. */
export interface PriceCatalog {
  lookUp(query: ModelName): CatalogEntry | undefined;
}

/**
 * Charges that come on top of the tokens of a plain completion, or split its output further than our buckets do.
 * A price with one of them would come out wrong, so it is not used. Prices of audio, images and searches do not
 * touch a completion of text, and are left out.
 */
const INEXPRESSIBLE_PRICES = ["requests_kcount", "output_citation_mtok"] as const;

/** Models that make embeddings put out no tokens, so that the list states no price of any: it is zero, and no guess. */
const EMBEDDING_MODEL = /embed|^voyage-/i;

const TIME_OF_DAY = /^([01]\d|2[0-3]):([0-5]\d):00Z$/;

/**
 * Loads the price list that is bundled with `@pydantic/genai-prices`: takes its prices and its rules for names, and
 * none of its arithmetic, which is in floats. Measured: 25-33 ms and 22 MB RSS, once per process, hence imported
 * only when asked for. Nothing is fetched from the network.
 */
export async function loadGenaiPrices(): Promise<PriceCatalog> {
  const genaiPrices = await import("@pydantic/genai-prices");
  return createGenaiPricesCatalog(genaiPrices.findProvider);
}

/** As {@link loadGenaiPrices}, over any data of the same shape. */
export function createGenaiPricesCatalog(find: typeof findProvider): PriceCatalog {
  // Bounded by the price list: one entry per model of it, whatever names are asked for.
  const entries = new Map<string, CatalogEntry>();

  function lookUp(query: ModelName): CatalogEntry | undefined {
    const listed = toListedName(query);
    if (!listed) return undefined;
    const found = find({ providerId: listed.provider });
    // findProvider also guesses by parts of a name; only the provider's exact id will do.
    if (found?.id !== listed.provider) return undefined;
    const info = findModel(found.models, listed.model);
    if (!info) return undefined;
    const model = `${info.id}${listed.suffix}`;
    const key = `${query.provider}/${model}`;
    let entry = entries.get(key);
    if (!entry) {
      entry = toCatalogEntry({ provider: query.provider, model, info });
      entries.set(key, entry);
    }
    return entry;
  }
  return { lookUp };
}

/**
 * HuggingFace passes the partner's price on, so a name is priced as `huggingface_<partner>` when it pins one
 * (`org/name:partner`). Without a pin the router chooses, and nobody can know the price.
 */
function toListedName({ provider, model }: ModelName): (ModelName & { readonly suffix: string }) | undefined {
  if (provider !== "huggingface") {
    const list = listOf(provider);
    return list === undefined ? undefined : { provider: list, model, suffix: "" };
  }
  const colon = model.lastIndexOf(":");
  if (colon === -1) return undefined;
  const suffix = model.slice(colon);
  return { provider: `huggingface_${suffix.slice(1)}`, model: model.slice(0, colon), suffix };
}

/**
 * The list's id of a provider. A provider that the operator named otherwise is looked up by that name, which the
 * list may know by chance: then it is the same provider, since the list's names are companies'.
 */
function listOf(provider: string): string | undefined {
  return Object.hasOwn(PROVIDER_TYPES, provider)
    ? PROVIDER_TYPES[provider as ProviderTypeName].priceList
    : provider;
}

/** Converts one model of the list, exactly or not at all. */
export function toCatalogEntry(options: {
  readonly provider: string;
  readonly model: string;
  readonly info: ModelInfo;
}): CatalogEntry {
  const { provider, model, info } = options;
  const contextWindowTokens = info.context_window;
  try {
    return { model, versions: toVersions(provider, model, info), unusable: undefined, contextWindowTokens };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { model, versions: [], unusable: error.message, contextWindowTokens };
  }
}

/**
 * Conditional prices: of several that apply the last one counts, so the versions are listed from the last to the
 * first. A price that starts on a date also ends the ones before it, and a daily window leaves the others the rest
 * of the day.
 */
function toVersions(provider: string, model: string, info: ModelInfo): PriceVersion[] {
  const conditional: readonly ConditionalPrice[] = Array.isArray(info.prices)
    ? info.prices
    : [{ prices: info.prices }];
  const versions: PriceVersion[] = [];
  const laterWindows: DailyWindow[] = [];
  let validTo: Date | undefined;
  for (const { constraint, prices } of conditional.toReversed()) {
    const validFrom = constraint?.type === "start_date" ? parseDate(constraint.start_date) : undefined;
    const window = constraint?.type === "time_of_date" ? parseWindow(constraint) : undefined;
    const alwaysOverruled = validFrom !== undefined && validTo !== undefined && validFrom >= validTo;
    if (!alwaysOverruled) {
      const schedule = window
        ? createSchedule({ windows: [window] })
        : laterWindows.length > 0
          ? createSchedule({ windows: laterWindows, outside: true })
          : undefined;
      const base = { provider, model, source: GENAI_PRICES_SOURCE, validFrom, validTo, schedule };
      versions.push(createPriceVersion({ ...base, ...toTieredUnitPrices(withoutOutput(info.id, prices)) }));
      validTo = validFrom ?? validTo;
    }
    if (window) laterWindows.unshift(window);
    if (!constraint) break;
  }
  return versions;
}

function withoutOutput(model: string, prices: ModelPrice): ModelPrice {
  const isWhole = prices.input_mtok === undefined || prices.output_mtok !== undefined;
  return isWhole || !EMBEDDING_MODEL.test(model) ? prices : { ...prices, output_mtok: 0 };
}

function parseDate(date: string): Date {
  const parsed = new Date(date);
  if (Number.isNaN(parsed.getTime())) throw new RangeError(`not a date: ${date}`);
  return parsed;
}

function parseWindow(constraint: { start_time: string; end_time: string }): DailyWindow {
  return { startMinute: parseMinute(constraint.start_time), endMinute: parseMinute(constraint.end_time) };
}

function parseMinute(time: string): number {
  const match = TIME_OF_DAY.exec(time);
  if (!match) throw new RangeError(`not a whole minute of UTC: ${time}`);
  return Number(match[1]) * 60 + Number(match[2]);
}

function toTieredUnitPrices(prices: ModelPrice): { unitPrices: UnitPrices; tiers: PriceTier[] } {
  for (const key of INEXPRESSIBLE_PRICES) {
    if (prices[key] !== undefined) throw new RangeError(`${key} cannot be expressed as a price of tokens`);
  }
  // Each price has tiers of its own; ours hold for all prices at once, so there is one for every start of any.
  const starts = Object.values(prices).flatMap((price) =>
    typeof price === "object" ? price.tiers.map((tier) => tier.start) : [],
  );
  const tiers = [...new Set(starts)]
    .toSorted((a, b) => a - b)
    .map((start) => ({ aboveTokensIn: start, unitPrices: unitPricesAbove(prices, start) }));
  return { unitPrices: unitPricesAbove(prices, -1), tiers };
}

/** The prices of an attempt with one input token more than `tokensIn`. */
function unitPricesAbove(prices: ModelPrice, tokensIn: number): UnitPrices {
  const priceOf = (key: string): PicoUsd | undefined => {
    const price = prices[key];
    if (price === undefined) return undefined;
    if (typeof price === "number") return toPicoUsdPerToken(key, price);
    const reached = price.tiers
      .filter((tier) => tier.start <= tokensIn)
      .toSorted((a, b) => b.start - a.start);
    return toPicoUsdPerToken(key, reached[0]?.price ?? price.base);
  };
  const inputPicoUsdPerToken = priceOf("input_mtok");
  const outputPicoUsdPerToken = priceOf("output_mtok");
  if (inputPicoUsdPerToken === undefined || outputPicoUsdPerToken === undefined) {
    throw new RangeError("no price of both input and output tokens");
  }
  return toUnitPrices({
    inputPicoUsdPerToken,
    outputPicoUsdPerToken,
    cacheReadPicoUsdPerToken: priceOf("cache_read_mtok"),
    cacheWritePicoUsdPerToken: priceOf("cache_write_mtok"),
    reasoningPicoUsdPerToken: priceOf("output_reasoning_mtok"),
  });
}

/**
 * The list holds USD per 1M tokens as JavaScript numbers, whose shortest decimal text is what was written there.
 * Text with more than six decimals is what arithmetic in floats left behind (`0.18000000000000002`): refused.
 */
function toPicoUsdPerToken(key: string, usdPerMillionTokens: number): PicoUsd {
  try {
    return parseUsdPerMillionTokens(String(usdPerMillionTokens));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`${key}: ${error.message}`);
  }
}
