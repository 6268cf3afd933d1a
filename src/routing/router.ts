import { BoundedMap } from "../core/bounded-map.ts";
import { GatewayError } from "../core/errors.ts";
import type { Principal } from "../core/keys.ts";
import type { CallMethod } from "../core/ledger.ts";
import { type Candidate, candidateName, parseModelName } from "../core/model-name.ts";
import { DEFAULT_ROUTE_POLICY, orderedRoute, type Route, type RoutePolicy } from "../core/route.ts";
import { orderCandidates } from "./order-candidates.ts";

export interface RouterOptions {
  readonly providers: ReadonlySet<string>;
  /** Alias → what stands behind it. */
  readonly aliases: ReadonlyMap<string, Route>;
  /** What follows a model of a completion that has no chain of its own and for which the caller named no fallbacks. */
  readonly defaultChain: readonly Candidate[];
  /** Providers and `provider/model`s that nobody may ask, whatever chain names them. */
  readonly disabled?: ReadonlySet<string>;
  /** How long a caller waited for the candidate lately (first token of a stream, else whole answer). */
  readonly medianMs?: (candidate: Candidate, method: CallMethod) => number | undefined;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

export interface RouteRequest {
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly principal: Principal;
  readonly endUser?: string | undefined;
  readonly tags?: Readonly<Record<string, string>>;
}

/** Turns the model that a caller names into the chain of candidates that are tried. */
export interface Router {
  /**
   * At least one candidate, no candidate twice, none disabled, each allowed to the key: what the caller named is
   * refused if it is not, what the default chain would add is left out. Embeddings have no default chain: vectors of
   * different models cannot be compared.
   * @throws GatewayError MODEL_NOT_FOUND, MODEL_NOT_ALLOWED
   */
  route(request: RouteRequest, method: CallMethod): readonly Candidate[];
  /** How the chain of a model is asked: as its alias says, if it is one. */
  policyOf(model: string): RoutePolicy;
  /** The names that this key may ask for, with their chains. */
  names(principal: Principal): readonly { readonly name: string; readonly chain: readonly Candidate[] }[];
}

/** Callers choose the names of models. */
const MAX_KNOWN_CHAINS = 1_000;
const DEFAULT_STRATEGY: Pick<Route, "strategy"> = { strategy: { kind: "ordered" } };

export function createRouter(options: RouterOptions): Router {
  const { providers, aliases, defaultChain, disabled = new Set() } = options;
  const { random = Math.random, medianMs = () => undefined } = options;

  const isEnabled = (candidate: Candidate): boolean =>
    disabled.size === 0 || (!disabled.has(candidate.provider) && !disabled.has(candidateName(candidate)));
  const enabledDefaultChain = defaultChain.filter(isEnabled);

  const expand = (name: string): Route | undefined => {
    const alias = aliases.get(name);
    if (alias) return alias;
    const candidate = parseModelName(name, providers);
    return candidate && orderedRoute([candidate]);
  };

  const expandOrThrow = (name: string, request: RouteRequest, method: CallMethod): readonly Candidate[] => {
    const route = expand(name);
    const { principal, endUser, tags = {} } = request;
    const caller = { apiKeyId: principal.apiKeyId, endUser, tags };
    const chain =
      route &&
      orderCandidates(
        route,
        { name, caller },
        { random, medianMs: (candidate) => medianMs(candidate, method) },
      ).filter(isEnabled);
    if (chain && chain.length > 0) return chain;
    const why = chain ? "is disabled" : "has no configured provider";
    throw new GatewayError("MODEL_NOT_FOUND", `model ${JSON.stringify(name)} ${why}`, {
      metadata: { model: name },
    });
  };

  /** An allowed alias allows what stands behind it; else each candidate is allowed or refused by itself. */
  const allowed = (principal: Principal, name: string, chain: readonly Candidate[]): readonly Candidate[] => {
    const { allowedModels } = principal;
    if (allowedModels.length === 0 || allowedModels.includes(name)) return chain;
    const candidates = new Set(
      allowedModels.flatMap((entry) => parseModelName(entry, providers) ?? []).map(candidateName),
    );
    return chain.filter((candidate) => candidates.has(candidateName(candidate)));
  };

  const allowedOrThrow = (name: string, request: RouteRequest, method: CallMethod): readonly Candidate[] => {
    const chain = allowed(request.principal, name, expandOrThrow(name, request, method));
    if (chain.length > 0) return chain;
    throw new GatewayError("MODEL_NOT_ALLOWED", `the API key may not use model ${JSON.stringify(name)}`, {
      metadata: { model: name },
    });
  };

  const build = (request: RouteRequest, method: CallMethod): readonly Candidate[] => {
    const { model, fallbackModels, principal } = request;
    const chain = [...allowedOrThrow(model, request, method)];
    for (const name of fallbackModels) chain.push(...allowedOrThrow(name, request, method));
    if (fallbackModels.length === 0 && !aliases.has(model) && method !== "Embed") {
      chain.push(...allowed(principal, "", enabledDefaultChain));
    }
    return withoutRepeats(chain);
  };

  /** What depends on nothing but the model's name, as for most calls. */
  const completions = new BoundedMap<string, readonly Candidate[]>(MAX_KNOWN_CHAINS);
  const embeddings = new BoundedMap<string, readonly Candidate[]>(MAX_KNOWN_CHAINS);

  return {
    route(request, method) {
      const { model, fallbackModels, principal } = request;
      const { strategy } = aliases.get(model) ?? DEFAULT_STRATEGY;
      if (fallbackModels.length > 0 || principal.allowedModels.length > 0 || strategy.kind !== "ordered")
        return build(request, method);
      const known = method === "Embed" ? embeddings : completions;
      return known.getOrCreate(model, () => build(request, method));
    },
    policyOf: (model) => aliases.get(model)?.policy ?? DEFAULT_ROUTE_POLICY,
    names(principal) {
      const entries = new Map([...aliases].map(([name, { candidates }]) => [name, candidates]));
      for (const candidate of [...defaultChain, ...[...entries.values()].flat()]) {
        const name = candidateName(candidate);
        if (!entries.has(name)) entries.set(name, [candidate]);
      }
      return [...entries]
        .map(([name, chain]) => ({ name, chain: allowed(principal, name, chain).filter(isEnabled) }))
        .filter(({ chain }) => chain.length > 0)
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

/** Chains are short: comparing all with all costs less than naming each. */
function withoutRepeats(chain: readonly Candidate[]): readonly Candidate[] {
  return chain.filter(
    ({ provider, model }, index) =>
      chain.findIndex((other) => other.provider === provider && other.model === model) === index,
  );
}
