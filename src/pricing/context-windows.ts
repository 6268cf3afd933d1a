import type { ContextWindows } from "../core/context-windows.ts";
import { type Correction, createCorrections } from "./corrections.ts";
import { loadGenaiPrices, type PriceCatalog } from "./genai-prices-source.ts";
import { modelKey } from "./price-version.ts";

export interface ContextWindowsOptions {
  /** Tokens by `provider/model`, as the operator states them; they win over all else. */
  readonly operator: ReadonlyMap<string, number>;
  readonly corrections: readonly Correction[];
  readonly catalog: PriceCatalog;
}

/** The windows of production: the operator's, and those of the bundled price list. */
export async function loadContextWindows(operator: ReadonlyMap<string, number>): Promise<ContextWindows> {
  return createContextWindows({
    operator,
    corrections: createCorrections(),
    catalog: await loadGenaiPrices(),
  });
}

/** Names mean what they mean for prices: case is ignored, and a snapshot or an alias is the model that it is of. */
export function createContextWindows(options: ContextWindowsOptions): ContextWindows {
  const { operator, corrections, catalog } = options;
  const stated = new Map([...operator].map(([name, tokens]) => [name.toLowerCase(), tokens]));
  const corrected = new Map(corrections.map((each) => [modelKey(each), each.contextWindowTokens]));
  return {
    of(candidate) {
      const entry = catalog.lookUp(candidate);
      const { provider } = candidate;
      const asked = modelKey(candidate);
      const meant = entry ? modelKey({ provider, model: entry.model }) : asked;
      return (
        stated.get(asked) ??
        stated.get(meant) ??
        corrected.get(asked) ??
        corrected.get(meant) ??
        entry?.contextWindowTokens
      );
    },
  };
}
