import { createHash } from "node:crypto";
import { type Candidate, candidateName } from "../core/model-name.ts";
import type { Route, StickyBy } from "../core/route.ts";

/** What the order may depend on. */
export interface RouteCaller {
  readonly apiKeyId: string;
  readonly endUser: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

export interface OrderOptions {
  /** In [0, 1). */
  readonly random: () => number;
  /** The recent median of what callers wait for (first token or whole answer); undefined when too little is known. */
  readonly medianMs: (candidate: Candidate) => number | undefined;
}

/**
 * With this chance a candidate of which too little is known goes first: else the one that was measured first would
 * be the fastest for ever. Samples are forgotten after a minute, so one that was slow gets another chance, too.
 */
export const EXPLORATION_SHARE = 0.05;

/** The candidates of a route in the order in which this request tries them. `name` is the alias. */
export function orderCandidates(
  route: Route,
  request: { readonly name: string; readonly caller: RouteCaller },
  options: OrderOptions,
): readonly Candidate[] {
  const { candidates, strategy } = route;
  switch (strategy.kind) {
    case "ordered":
      return candidates;
    case "weighted": {
      const sticky = strategy.stickyBy && stickyValue(strategy.stickyBy, request.caller);
      // A caller that does not say who it is meets chance.
      const chance = (candidate: Candidate) =>
        sticky === undefined ? options.random() : fraction(request.name, sticky, candidateName(candidate));
      return byDescending(candidates, (candidate, index) =>
        rendezvousScore(strategy.weights[index] ?? 0, chance(candidate)),
      );
    }
    case "fastest":
      return fastestFirst(candidates, options);
    default:
      return strategy satisfies never;
  }
}

/**
 * Weighted rendezvous hashing: the highest of `-weight / ln(chance)` wins in proportion to the weights, and the rest in
 * descending order is a draw without replacement (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005).
 */
function rendezvousScore(weight: number, chance: number): number {
  return weight > 0 ? -weight / Math.log(Math.max(chance, Number.MIN_VALUE)) : Number.NEGATIVE_INFINITY;
}

function fastestFirst(candidates: readonly Candidate[], options: OrderOptions): readonly Candidate[] {
  const medians = new Map(candidates.map((candidate) => [candidate, options.medianMs(candidate)]));
  const unknown = candidates.filter((candidate) => medians.get(candidate) === undefined);
  const known = byDescending(
    candidates.filter((candidate) => !unknown.includes(candidate)),
    (candidate) => -(medians.get(candidate) ?? 0),
  );
  if (known.length === 0 || unknown.length === 0 || options.random() >= EXPLORATION_SHARE) {
    return [...known, ...unknown];
  }
  const explored = unknown[Math.floor(options.random() * unknown.length)];
  return [
    ...unknown.filter((candidate) => candidate === explored),
    ...known,
    ...unknown.filter((candidate) => candidate !== explored),
  ];
}

/** Equal scores keep their order. */
function byDescending(
  candidates: readonly Candidate[],
  score: (candidate: Candidate, index: number) => number,
): readonly Candidate[] {
  const scored = candidates.map((candidate, index) => ({ candidate, score: score(candidate, index) }));
  return scored
    .sort((a, b) => (a.score === b.score ? 0 : b.score - a.score))
    .map(({ candidate }) => candidate);
}

function stickyValue(by: StickyBy, caller: RouteCaller): string | undefined {
  switch (by.kind) {
    case "api_key":
      return caller.apiKeyId;
    case "end_user":
      return caller.endUser;
    case "tag":
      return caller.tags[by.name];
    default:
      return by satisfies never;
  }
}

const HASHED_BYTES = 6;

/** A number in (0, 1) that is always the same for the same texts. */
function fraction(...texts: readonly string[]): number {
  const digest = createHash("sha256").update(texts.join("\0")).digest();
  return (digest.readUIntBE(0, HASHED_BYTES) + 0.5) / 2 ** (8 * HASHED_BYTES);
}
