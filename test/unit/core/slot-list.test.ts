import { expect, test } from "vitest";
import { SlotList, type Slotted } from "../../../src/core/slot-list.ts";
import { createRandom } from "../../support/ledger-samples.ts";

const item = (name: string): Slotted & { readonly name: string } => ({ slot: -1, name });

test("holds what was added and not deleted, in whatever order that happens", () => {
  const random = createRandom(7);
  const list = new SlotList<ReturnType<typeof item>>();
  const model = new Set<ReturnType<typeof item>>();
  const all = Array.from({ length: 60 }, (_, index) => item(`${index}`));
  for (let step = 0; step < 5_000; step++) {
    const chosen = all[Math.floor(random() * all.length)] ?? item("none");
    if (model.has(chosen)) {
      list.delete(chosen);
      model.delete(chosen);
    } else if (random() < 0.5) {
      list.add(chosen);
      model.add(chosen);
    } else list.delete(chosen);
    expect(list.size).toBe(model.size);
  }
  expect(new Set(list)).toEqual(model);
  expect(model.size).toBeGreaterThan(10);
});

test("may be changed while it is walked over", () => {
  const list = new SlotList<ReturnType<typeof item>>();
  const items = ["a", "b", "c"].map(item);
  for (const each of items) list.add(each);
  const seen: string[] = [];
  for (const each of list) {
    seen.push(each.name);
    list.delete(each);
    if (each.name === "a") list.add(item("d"));
  }
  expect(seen).toEqual(["a", "b", "c"]);
  expect([...list].map(({ name }) => name)).toEqual(["d"]);
});

test("does not take one thing for another that has its place", () => {
  const list = new SlotList<ReturnType<typeof item>>();
  const [a, b] = [item("a"), item("b")];
  list.add(a);
  list.delete(a);
  list.add(b);
  list.delete(a);
  expect([...list]).toEqual([b]);
});
