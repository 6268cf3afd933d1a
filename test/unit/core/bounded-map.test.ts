import { describe, expect, it } from "vitest";
import { BoundedMap } from "../../../src/core/bounded-map.ts";

describe("a bounded map", () => {
  it("forgets the entry that was unused for longest", () => {
    const map = new BoundedMap<string, number>(2);
    map.getOrCreate("a", () => 1);
    map.getOrCreate("b", () => 2);
    expect(map.get("a")).toBe(1);
    map.getOrCreate("c", () => 3);
    expect([map.get("a"), map.get("b"), map.get("c")]).toEqual([1, undefined, 3]);
  });

  it("makes an entry once, and counts asking for it as use", () => {
    const map = new BoundedMap<string, object>(2);
    const first = map.getOrCreate("a", () => ({}));
    map.getOrCreate("b", () => ({}));
    expect(map.getOrCreate("a", () => ({}))).toBe(first);
    map.getOrCreate("c", () => ({}));
    expect(map.getOrCreate("a", () => ({}))).toBe(first);
  });

  it("never holds more than its limit", () => {
    const map = new BoundedMap<number, number>(100);
    for (let key = 0; key < 10_000; key += 1) map.getOrCreate(key, () => key);
    expect(map.size).toBe(100);
  });
});
