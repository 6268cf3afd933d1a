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

/** What stands behind an alias. */
export interface Route {
  /** At least one, none twice, in the order of the configuration. */
  readonly candidates: readonly Candidate[];
  readonly strategy: RouteStrategy;
}

/** A plain chain. */
export function orderedRoute(candidates: readonly Candidate[]): Route {
  return { candidates, strategy: { kind: "ordered" } };
}
