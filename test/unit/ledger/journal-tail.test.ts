import { expect, test } from "vitest";
import type { JournalOperation } from "../../../src/ledger/journal-store.ts";
import { JournalTail } from "../../../src/ledger/journal-tail.ts";

const row = (json: string): JournalOperation => ({
  kind: "row",
  table: "request_log",
  json,
  priceId: undefined,
  attemptId: undefined,
});
const jsonOf = (rows: ReturnType<JournalTail["take"]>) => rows?.map(({ json }) => json);

test("rows are taken in the order of their sequence, as many as are asked for", () => {
  const tail = new JournalTail();
  tail.committed([row("1"), { kind: "open", attemptId: "a", json: "{}" }, row("2")], 2);
  tail.committed([row("3")], 3);
  expect(jsonOf(tail.take(0, 2))).toEqual(["1", "2"]);
  expect(tail.take(0, 3)?.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  expect(jsonOf(tail.take(2, 10))).toEqual(["3"]);
});

test("what was taken before is forgotten, and what is not kept is not made up", () => {
  const tail = new JournalTail();
  expect(tail.take(0, 10)).toBeUndefined();
  tail.committed([row("5"), row("6")], 6);
  expect(tail.take(3, 10)).toBeUndefined();
  expect(jsonOf(tail.take(5, 10))).toEqual(["6"]);
  expect(tail.take(4, 10)).toBeUndefined();
  expect(tail.take(6, 10)).toBeUndefined();
  tail.committed([row("7")], 7);
  expect(jsonOf(tail.take(6, 10))).toEqual(["7"]);
});

test("a gap, which a commit leaves that seemed to fail, begins a new tail", () => {
  const tail = new JournalTail();
  tail.committed([row("1")], 1);
  tail.committed([row("4")], 4);
  expect(tail.take(0, 10)).toBeUndefined();
  expect(jsonOf(tail.take(3, 10))).toEqual(["4"]);
});

test("rows beyond the bound are left to the file", () => {
  const tail = new JournalTail();
  const many = Array.from({ length: 1_500 }, (_, index) => row(String(index)));
  tail.committed(many, 1_500);
  tail.committed(many, 3_000);
  expect(tail.take(0, 1)).toBeUndefined();
  expect(tail.take(1_500, 5_000)).toHaveLength(1_500);
  tail.committed([...many, ...many], 6_000);
  expect(tail.take(3_000, 1)).toBeUndefined();
});
