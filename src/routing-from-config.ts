import { isDeepStrictEqual } from "node:util";
import { type Config, ConfigError, type ProviderConfig } from "./config/config.ts";
import { systemClock } from "./core/clock.ts";
import type { Candidate } from "./core/model-name.ts";
import type { CandidateHealthRegistry } from "./gateway/candidate-health.ts";
import type { GatewayRouting } from "./gateway/create-gateway.ts";
import { loadContextWindows } from "./pricing/context-windows.ts";
import { parseOperatorPrices } from "./pricing/operator-prices.ts";
import { loadPriceBook } from "./pricing/price-book.ts";
import { type ConfiguredProviders, closeProviders, createProviders } from "./providers-from-config.ts";
import { createRouter } from "./routing/router.ts";

/** The part of the configuration that takes effect without a restart. */
export type ReloadableConfig = Pick<
  Config,
  "providers" | "deadlines" | "aliases" | "defaultChain" | "disabled" | "prices" | "contextWindows"
>;

/** What is known of models: prices, windows, and which are known well enough to be a label. */
export interface LoadedPrices {
  readonly book: GatewayRouting["prices"];
  readonly contextWindows: GatewayRouting["contextWindows"];
  isKnown(provider: string, model: string): boolean;
}

/** What stands for one version of the configuration. */
export interface ConfiguredRouting extends GatewayRouting {
  readonly config: ReloadableConfig;
  readonly providers: ConfiguredProviders;
  readonly isKnownModel: LoadedPrices["isKnown"];
}

/** @throws ConfigError for price overrides that are wrong; nothing was opened then */
export async function loadPrices(config: ReloadableConfig): Promise<LoadedPrices> {
  const operator = parseOperatorPrices(config.prices);
  if (!operator.ok) {
    throw new ConfigError(
      operator.issues.map(({ path, message }) => `CONFIG_FILE: prices.${path.join(".")}: ${message}`),
    );
  }
  const aliased = [...config.aliases.values()].flatMap(({ candidates }) => candidates);
  const listed = [...config.defaultChain, ...aliased];
  const book = await loadPriceBook({ operator: operator.versions, listed });
  const known = new Set(listed.map(({ provider, model }) => `${provider}/${model}`));
  const isKnown = (provider: string, model: string) =>
    known.has(`${provider}/${model}`) || book.find({ provider, model, at: systemClock.now() }) !== undefined;
  return { book, contextWindows: await loadContextWindows(config.contextWindows), isKnown };
}

/**
 * Builds what a configuration stands for. A provider whose settings did not change is taken over from `previous`, with
 * its connections.
 * @throws RangeError when a base URL, key or header cannot be used; `previous` is untouched then
 */
export function createRouting(
  config: ReloadableConfig,
  { book, contextWindows, isKnown }: LoadedPrices,
  context: { readonly health: CandidateHealthRegistry; readonly previous?: ConfiguredRouting },
): ConfiguredRouting {
  const { health, previous } = context;
  const unchanged = (provider: ProviderConfig): boolean =>
    isDeepStrictEqual(config.deadlines, previous?.config.deadlines) &&
    (previous?.config.providers.some((other) => isDeepStrictEqual(provider, other)) ?? false);
  const created = createProviders(
    config.providers.filter((provider) => !unchanged(provider)),
    config.deadlines,
  );
  const kept = [...(previous?.providers ?? [])].filter(([name]) =>
    config.providers.some((provider) => provider.name === name && unchanged(provider)),
  );
  const providers: ConfiguredProviders = new Map([...kept, ...created]);
  const router = createRouter({
    providers: new Set(providers.keys()),
    aliases: config.aliases,
    defaultChain: config.defaultChain,
    disabled: config.disabled,
    medianMs: (candidate: Candidate, method) => health.of(candidate).latency[method].medianMs(),
  });
  return { config, router, providers, prices: book, contextWindows, isKnownModel: isKnown };
}

/** Closes what the next version did not take over. */
export async function closeReplaced(previous: ConfiguredRouting, next: ConfiguredRouting): Promise<void> {
  const kept = new Set(next.providers.values());
  await closeProviders(new Map([...previous.providers].filter(([, provider]) => !kept.has(provider))));
}
