import type { Candidate } from "./model-name.ts";

/** What a route's caller is recognised by, so that it meets the same candidate each time. */
export type StickyBy =
  | { readonly kind: "api_key" | "end_user" }
  | { readonly kind: "tag"; readonly name: string };

/** In which order the candidates of a route are tried. */
export type RouteStrategy =
  /** As configured. */
  | { readonly kind: "ordered" }
  /**
   * By chance, in proportion to the weights (one for each candidate, same order); zero is tried last. With `stickyBy`
   * chance is the same for the same caller, and a change of one weight moves as few callers as possible.
   */
  | {
      readonly kind: "weighted";
      readonly weights: readonly number[];
      readonly stickyBy: StickyBy | undefined;
    }
  /** The one that was fastest lately first. */
  | { readonly kind: "fastest" };

/**
 * What becomes of a stream that breaks off after its first token. `off`: it fails. `restart`: the caller is told to discard
 * what it got, and the next candidate begins anew.
 */
export type Recovery = "off" | "restart";

/** How the candidates of a route are asked, besides their order. */
export interface RoutePolicy {
  /**
   * When a candidate has not answered (a stream: has not delivered its first token) after so long, the next one is asked,
   * too. Undefined: never.
   */
  readonly hedgeAfterMs: number | undefined;
  /** Of streams whose caller does not say. */
  readonly recovery: Recovery;
}

/** Of models without an alias, and of aliases that say nothing. */
export const DEFAULT_ROUTE_POLICY: RoutePolicy = { hedgeAfterMs: undefined, recovery: "off" };

/** What stands behind an alias. */
export interface Route {
  /** At least one, none twice, in the order of the configuration. */
  readonly candidates: readonly Candidate[];
  readonly strategy: RouteStrategy;
  /** @default neither hedging nor recovery */
  readonly policy?: RoutePolicy | undefined;
}

/** A plain chain. */
export function orderedRoute(candidates: readonly Candidate[]): Route {
  return { candidates, strategy: { kind: "ordered" } };
}
