import { describe, expect, it } from "vitest";
import { SumsByValues } from "../../../src/telemetry/sums.ts";

function taken(sums: SumsByValues<{ calls: number; tokens: number }>) {
  const told: unknown[] = [];
  sums.take((values, { calls, tokens }) => told.push([...values, calls, tokens]));
  return told;
}

describe("sums by values", () => {
  it("are one for each combination, and told once", () => {
    const sums = new SumsByValues({ calls: 0, tokens: 0 });
    sums.of(["a", "x"]).calls += 1;
    sums.of(["a", "y"]).tokens += 2.5;
    sums.of(["a", "x"]).tokens += 4;
    // A combination may be the beginning of another one.
    sums.of(["a"]).calls += 1;
    expect(taken(sums)).toEqual([
      ["a", "x", 1, 4],
      ["a", "y", 0, 2.5],
      ["a", 1, 0],
    ]);
    sums.of(["a", "x"]).calls += 7;
    expect(taken(sums)).toEqual([
      ["a", "x", 7, 0],
      ["a", "y", 0, 0],
      ["a", 0, 0],
    ]);
  });

  it("go on from what one who holds them adds", () => {
    const sums = new SumsByValues({ calls: 0, tokens: 0 });
    const held = sums.of(["a"]);
    taken(sums);
    held.calls += 1;
    expect(taken(sums)).toEqual([["a", 1, 0]]);
  });
});
