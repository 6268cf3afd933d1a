import { type Candidate, candidateName, parseModelName } from "../core/model-name.ts";
import {
  orderedRoute,
  type Route,
  type RoutePolicy,
  type RouteStrategy,
  type StickyBy,
} from "../core/route.ts";
import type { Config } from "./config.ts";
import type { ConfigFile, RouteEntry } from "./config-file.ts";
import { DEFAULT_MODELS } from "./provider-config.ts";

/** Aliases, the default chain, what is disabled and how much models take; every mistake goes to `issues`, with its path. */
export function readRouting(
  file: ConfigFile,
  providerNames: readonly string[],
  issues: string[],
): Pick<Config, "aliases" | "defaultChain" | "disabled" | "contextWindows"> {
  const providers = new Set(providerNames);
  const resolve = (path: string, model: string): readonly Candidate[] => {
    const candidate = parseModelName(model, providers);
    if (candidate) return [candidate];
    issues.push(`CONFIG_FILE: ${path}: no provider is configured for ${JSON.stringify(model)}`);
    return [];
  };
  const aliases = new Map(
    Object.entries(file.models ?? {}).map(([alias, entry]) => [
      alias,
      readRoute(`models.${alias}`, entry, { resolve, issues }),
    ]),
  );
  const defaultChain =
    file.default_chain === undefined
      ? DEFAULT_MODELS.filter(({ provider }) => providers.has(provider))
      : file.default_chain.flatMap((model) => resolve("default_chain", model));
  const disabled = (file.disabled ?? []).flatMap((name) =>
    providers.has(name) ? [name] : resolve("disabled", name).map(candidateName),
  );
  const contextWindows = Object.entries(file.context_windows ?? {}).flatMap(([name, tokens]) =>
    resolve("context_windows", name).map((candidate) => [candidateName(candidate), tokens] as const),
  );
  return { aliases, defaultChain, disabled: new Set(disabled), contextWindows: new Map(contextWindows) };
}

type RouteObject = Extract<RouteEntry, { strategy: unknown }>;

interface RouteContext {
  readonly resolve: (path: string, model: string) => readonly Candidate[];
  readonly issues: string[];
}

function readRoute(path: string, entry: RouteEntry, { resolve, issues }: RouteContext): Route {
  if (!("strategy" in entry)) return orderedRoute(entry.flatMap((model) => resolve(path, model)));
  const named = entry.candidates.map((candidate) =>
    typeof candidate === "string" ? { model: candidate } : candidate,
  );
  const candidates = named.flatMap(({ model }) => resolve(path, model));
  if (new Set(candidates.map(candidateName)).size < candidates.length)
    issues.push(`CONFIG_FILE: ${path}: a candidate is named twice`);
  const policy = readPolicy(path, entry, issues);
  const weights = named.map(({ weight }) => weight);
  if (entry.strategy !== "weighted") {
    if (weights.some((weight) => weight !== undefined) || entry.sticky !== undefined)
      issues.push(`CONFIG_FILE: ${path}: weight and sticky are for the strategy weighted`);
    return { candidates, strategy: { kind: entry.strategy }, policy };
  }
  const strategy: RouteStrategy = {
    kind: "weighted",
    weights: weights.map((weight) => weight ?? 1),
    stickyBy: entry.sticky === undefined ? undefined : readSticky(entry.sticky),
  };
  if (strategy.weights.every((weight) => weight === 0))
    issues.push(`CONFIG_FILE: ${path}: at least one weight must be above 0`);
  return { candidates, strategy, policy };
}

function readPolicy(path: string, entry: RouteObject, issues: string[]): RoutePolicy | undefined {
  const { hedge_after_ms: hedgeAfterMs, recovery, candidates } = entry;
  if (hedgeAfterMs === undefined && recovery === undefined) return undefined;
  if (candidates.length < 2 && (hedgeAfterMs !== undefined || recovery === "restart"))
    issues.push(`CONFIG_FILE: ${path}: hedge_after_ms and recovery need a second candidate`);
  return { hedgeAfterMs, recovery: recovery ?? "off" };
}

function readSticky(text: string): StickyBy {
  if (text === "api_key" || text === "end_user") return { kind: text };
  return { kind: "tag", name: text.slice("tag:".length) };
}
