import { GatewayError } from "../core/errors.ts";
import type { Principal } from "../core/keys.ts";
import { type Candidate, candidateName, parseModelName } from "../core/model-name.ts";

export interface RouterOptions {
  readonly providers: ReadonlySet<string>;
  /** Alias → chain. */
  readonly aliases: ReadonlyMap<string, readonly Candidate[]>;
  /** What follows a model that has no chain of its own and for which the caller named no fallbacks. */
  readonly defaultChain: readonly Candidate[];
}

export interface RouteRequest {
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly principal: Principal;
}

/** Turns the model that a caller names into the chain of candidates that are tried. */
export interface Router {
  /**
   * At least one candidate, no candidate twice, each allowed to the key: what the caller named is refused if it is
   * not, what the default chain would add is left out.
   * @throws GatewayError MODEL_NOT_FOUND, MODEL_NOT_ALLOWED
   */
  route(request: RouteRequest): readonly Candidate[];
  /** The names that this key may ask for, with their chains. */
  names(principal: Principal): readonly { readonly name: string; readonly chain: readonly Candidate[] }[];
}

export function createRouter(options: RouterOptions): Router {
  const { providers, aliases, defaultChain } = options;

  const expand = (name: string): readonly Candidate[] | undefined => {
    const alias = aliases.get(name);
    if (alias) return alias;
    const candidate = parseModelName(name, providers);
    return candidate && [candidate];
  };

  const expandOrThrow = (name: string): readonly Candidate[] => {
    const chain = expand(name);
    if (chain) return chain;
    throw new GatewayError("MODEL_NOT_FOUND", `no provider is configured for model ${JSON.stringify(name)}`, {
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

  const allowedOrThrow = (principal: Principal, name: string): readonly Candidate[] => {
    const chain = allowed(principal, name, expandOrThrow(name));
    if (chain.length > 0) return chain;
    throw new GatewayError("MODEL_NOT_ALLOWED", `the API key may not use model ${JSON.stringify(name)}`, {
      metadata: { model: name },
    });
  };

  return {
    route({ model, fallbackModels, principal }) {
      const chain = [model, ...fallbackModels].flatMap((name) => allowedOrThrow(principal, name));
      if (fallbackModels.length === 0 && !aliases.has(model)) {
        chain.push(...allowed(principal, "", defaultChain));
      }
      return withoutRepeats(chain);
    },
    names(principal) {
      const entries = new Map<string, readonly Candidate[]>(aliases);
      for (const candidate of [...defaultChain, ...[...aliases.values()].flat()]) {
        const name = candidateName(candidate);
        if (!entries.has(name)) entries.set(name, [candidate]);
      }
      return [...entries]
        .map(([name, chain]) => ({ name, chain: allowed(principal, name, chain) }))
        .filter(({ chain }) => chain.length > 0)
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

function withoutRepeats(chain: readonly Candidate[]): readonly Candidate[] {
  const seen = new Set<string>();
  return chain.filter((candidate) => {
    const name = candidateName(candidate);
    if (seen.has(name)) return false;
    seen.add(name);
    return true;
  });
}
