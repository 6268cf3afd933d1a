import { BoundedMap } from "../core/bounded-map.ts";
import type { Price, PriceBook } from "../core/price.ts";
import { type Correction, createCorrections } from "./corrections.ts";
import { loadGenaiPrices, type PriceCatalog } from "./genai-prices-source.ts";
import { isInForce, type ModelName, modelKey, type PriceVersion } from "./price-version.ts";

/** Callers choose model names, so what was looked up is kept for this many of them. */
const MAX_CACHED_NAMES = 4_096;
/** Longer names have no price and are not kept: the longest of genai-prices has 61 characters. */
const MAX_NAME_LENGTH = 256;

export interface PriceBookOptions {
  /** The operator's own prices; they win over everything, at the instants at which they are in force. */
  readonly operator?: readonly PriceVersion[];
  /** Replace what the catalog says of a model. */
  readonly corrections?: readonly Correction[];
  /** Without one, only the operator's prices and the corrections are known. */
  readonly catalog?: PriceCatalog;
  /** The models that the configuration names: what `list` and `versions` answer, besides the operator's. */
  readonly listed?: readonly ModelName[];
}

/** A price book that can also tell its history, to fill the table of prices. */
export interface VersionedPriceBook extends PriceBook {
  /** Every version known of the models that `list` covers, past and future ones included; each once. */
  versions(): readonly Price[];
}

/** The price book of production: the bundled price list with its corrections, and the operator's prices above. */
export async function loadPriceBook(
  options: Pick<PriceBookOptions, "operator" | "listed">,
): Promise<VersionedPriceBook> {
  return createPriceBook({ ...options, corrections: createCorrections(), catalog: await loadGenaiPrices() });
}

/**
 * `find` costs 0.05-0.1 µs for a name that was asked for before (12-40 µs for a new one), and never answers a price of another model: a
 * name is what the operator wrote, or what the price list's own rules say it means, or it has no price. The same
 * object is answered for as long as the same version is in force.
 */
export function createPriceBook(options: PriceBookOptions): VersionedPriceBook {
  const operator = Map.groupBy(options.operator ?? [], ({ price }) => modelKey(price));
  const corrections = new Map(options.corrections?.map((correction) => [modelKey(correction), correction]));
  const known = new BoundedMap<string, readonly PriceVersion[]>(MAX_CACHED_NAMES);

  /** All versions that a name may have, the first in force counts. */
  function candidates({ provider, model }: ModelName): readonly PriceVersion[] {
    const key = `${provider}/${model}`;
    if (key.length > MAX_NAME_LENGTH) return [];
    return known.getOrCreate(key, () => resolve({ provider, model }));
  }

  function resolve(name: ModelName): readonly PriceVersion[] {
    const entry = options.catalog?.lookUp(name);
    const asked = modelKey(name);
    // A snapshot or an alias of a model costs what the model costs, also when the model is priced or corrected here.
    const meant = entry ? modelKey({ provider: name.provider, model: entry.model }) : asked;
    const correction = corrections.get(asked) ?? corrections.get(meant);
    return [
      ...(operator.get(asked) ?? []),
      ...(meant === asked ? [] : (operator.get(meant) ?? [])),
      ...(correction?.versions ?? entry?.versions ?? []),
    ];
  }

  function find(query: ModelName & { readonly at: Date }): Price | undefined {
    const atMs = query.at.getTime();
    return candidates(query).find((version) => isInForce(version, atMs))?.price;
  }

  const listed = uniqueNames([
    ...(options.listed ?? []),
    ...(options.operator ?? []).map(({ price }) => price),
  ]);
  return {
    find,
    list: (at) => uniquePrices(listed.map((name) => find({ ...name, at }))),
    versions: () => uniquePrices(listed.flatMap((name) => candidates(name).map(({ price }) => price))),
  };
}

function uniqueNames(names: readonly ModelName[]): readonly ModelName[] {
  const byKey = new Map(
    names.map(({ provider, model }) => [modelKey({ provider, model }), { provider, model }]),
  );
  return [...byKey.values()];
}

function uniquePrices(prices: readonly (Price | undefined)[]): readonly Price[] {
  const byId = new Map<string, Price>();
  for (const price of prices) if (price) byId.set(price.priceId, price);
  return [...byId.values()];
}
