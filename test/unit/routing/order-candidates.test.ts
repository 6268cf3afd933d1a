import { describe, expect, it } from "vitest";
import { type Candidate, candidateName } from "../../../src/core/model-name.ts";
import type { Route, StickyBy } from "../../../src/core/route.ts";
import {
  EXPLORATION_SHARE,
  type OrderOptions,
  orderCandidates,
  type RouteCaller,
} from "../../../src/routing/order-candidates.ts";
import { createRandom } from "../../support/ledger-samples.ts";

const A: Candidate = { provider: "openai", model: "a" };
const B: Candidate = { provider: "openai", model: "b" };
const C: Candidate = { provider: "deepseek", model: "c" };
const DRAWS = 20_000;

const caller = (changes: Partial<RouteCaller> = {}): RouteCaller => ({
  apiKeyId: "k_1",
  endUser: undefined,
  tags: {},
  ...changes,
});

function order(route: Route, changes: Partial<OrderOptions> & { readonly caller?: RouteCaller } = {}) {
  const options = { random: () => 0.5, medianMs: () => undefined, ...changes };
  return orderCandidates(route, { name: "alias", caller: changes.caller ?? caller() }, options);
}

const weighted = (weights: readonly number[], stickyBy?: StickyBy): Route => ({
  candidates: [A, B, C],
  strategy: { kind: "weighted", weights, stickyBy },
});

/** How often each candidate came first. */
function firsts(draw: (index: number) => readonly Candidate[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (let index = 0; index < DRAWS; index += 1) {
    const [first] = draw(index);
    if (first) counts.set(candidateName(first), (counts.get(candidateName(first)) ?? 0) + 1);
  }
  return counts;
}

describe("a weighted route", () => {
  it("tries each candidate first in proportion to its weight, and names every candidate once", () => {
    const random = createRandom(7);
    const counts = firsts(() => {
      const chain = order(weighted([90, 9, 1]), { random });
      expect(new Set(chain).size).toBe(3);
      return chain;
    });
    expect((counts.get("openai/a") ?? 0) / DRAWS).toBeCloseTo(0.9, 1);
    expect((counts.get("openai/b") ?? 0) / DRAWS).toBeCloseTo(0.09, 1);
    expect(counts.get("deepseek/c")).toBeGreaterThan(DRAWS * 0.005);
    expect(counts.get("deepseek/c")).toBeLessThan(DRAWS * 0.02);
  });

  it("tries a candidate without weight last", () => {
    const random = createRandom(8);
    for (let draw = 0; draw < 100; draw += 1) expect(order(weighted([1, 0, 1]), { random }).at(-1)).toBe(B);
  });

  it.each<readonly [StickyBy, (index: number) => RouteCaller]>([
    [{ kind: "api_key" }, (index) => caller({ apiKeyId: `k_${index}` })],
    [{ kind: "end_user" }, (index) => caller({ endUser: `user-${index}` })],
    [{ kind: "tag", name: "team" }, (index) => caller({ tags: { team: `team-${index}` } })],
  ])("with %j gives the same caller the same order, and the callers their shares", (stickyBy, callerOf) => {
    const random = () => {
      throw new Error("nothing is left to chance");
    };
    const route = weighted([80, 20, 0], stickyBy);
    const counts = firsts((index) => order(route, { random, caller: callerOf(index) }));
    expect((counts.get("openai/a") ?? 0) / DRAWS).toBeCloseTo(0.8, 1);
    expect(order(route, { random, caller: callerOf(5) })).toEqual(
      order(route, { random, caller: callerOf(5) }),
    );
  });

  it("moves only the callers whom a change of weights must move", () => {
    const before = weighted([95, 5, 0], { kind: "api_key" });
    const after = weighted([90, 10, 0], { kind: "api_key" });
    let moved = 0;
    for (let index = 0; index < DRAWS; index += 1) {
      const options = { caller: caller({ apiKeyId: `k_${index}` }) };
      const [from, to] = [order(before, options)[0], order(after, options)[0]];
      if (from === to) continue;
      expect([from, to]).toEqual([A, B]);
      moved += 1;
    }
    expect(moved / DRAWS).toBeGreaterThan(0.03);
    expect(moved / DRAWS).toBeLessThan(0.07);
  });

  it("leaves a caller who does not say who it is to chance", () => {
    const random = createRandom(9);
    const route = weighted([1, 1, 0], { kind: "end_user" });
    expect(firsts(() => order(route, { random })).size).toBe(2);
  });
});

describe("a route by latency", () => {
  const route: Route = { candidates: [A, B, C], strategy: { kind: "fastest" } };
  const medians = (a?: number, b?: number, c?: number) => (candidate: Candidate) =>
    new Map([
      [A, a],
      [B, b],
      [C, c],
    ]).get(candidate);

  it("tries the fastest first, and equals in the order of the configuration", () => {
    expect(order(route, { medianMs: medians(300, 100, 200) })).toEqual([B, C, A]);
    expect(order(route, { medianMs: medians(100, 100, 50) })).toEqual([C, A, B]);
  });

  it("is the order of the configuration while nothing is known", () => {
    expect(order(route)).toEqual([A, B, C]);
  });

  it("gives those it knows too little of a chance now and then", () => {
    const random = createRandom(10);
    const counts = firsts(() => order(route, { medianMs: medians(10), random }));
    const explored = 1 - (counts.get("openai/a") ?? 0) / DRAWS;
    expect(explored).toBeCloseTo(EXPLORATION_SHARE, 2);
    expect(counts.size).toBe(3);
  });
});
