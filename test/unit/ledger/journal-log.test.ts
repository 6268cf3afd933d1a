import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_REPLAY_LIMITS } from "../../../src/ledger/journal.ts";
import { packOperations, parseLines } from "../../../src/ledger/journal-lines.ts";
import { openJournalLog } from "../../../src/ledger/journal-log.ts";
import {
  type JournalOperation,
  type JournalStore,
  openJournalStore,
} from "../../../src/ledger/journal-store.ts";
import { createRandom } from "../../support/ledger-samples.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "llm-gateway-journal-log-"));
  mkdirSync(join(directory, "journal"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const file = () => join(directory, "journal", "journal.sqlite");
const open = (): JournalStore =>
  openJournalStore({ file: file(), maxBytes: 1e9, replayLimits: DEFAULT_REPLAY_LIMITS });

describe("lines", () => {
  test("say what they were made of, whatever characters are in it", () => {
    const json = JSON.stringify({ tags: { "a\tb": "c\nd", e: "ä\u2028" } });
    const operations: JournalOperation[] = [
      { kind: "open", attemptId: "a", json },
      { kind: "checkpoint", attemptId: "a", outputBytes: 12, deltas: 3 },
      { kind: "row", table: "cost_record", json, priceId: "p\t1\n", attemptId: "a" },
      { kind: "row", table: "request_log", json, priceId: undefined, attemptId: undefined },
      { kind: "row", table: "late_outcome", json, priceId: "p", attemptId: undefined },
      { kind: "discard", attemptId: "b" },
    ];
    const [piece] = packOperations(operations).pieces;
    expect(piece).toMatchObject({ rows: 3, opened: ["a"], noted: ["a"], ended: ["a", "b"] });
    expect([...parseLines(piece?.lines ?? "")]).toEqual(operations);
  });

  test("are cut into pieces, and what is no line stays apart", () => {
    const operations = Array.from({ length: 300 }, (_, index): JournalOperation[] => [
      {
        kind: "row",
        table: "cost_record",
        json: `"${"x".repeat(900)}"`,
        priceId: undefined,
        attemptId: `${index}`,
      },
      { kind: "price", priceId: `p${index}`, json: "{}" },
    ]).flat();
    const { pieces, others } = packOperations(operations);
    expect(others).toEqual(operations.filter(({ kind }) => kind === "price"));
    expect(pieces.length).toBeGreaterThan(3);
    expect(Math.max(...pieces.map(({ lines }) => lines.length))).toBeLessThan(67_000);
    expect(pieces.flatMap(({ ended }) => ended)).toHaveLength(300);
  });

  test.each(["what\tis this\n", "open\ta\t{}"])("are refused when nobody wrote them: %j", (text) => {
    expect(() => [...parseLines(text)]).toThrow(TypeError);
  });
});

/** What a journal must say, kept in the simplest way. */
class Model {
  readonly intents = new Map<string, { json: string; outputBytes: number; deltas: number }>();
  rows: { sequence: number; json: string }[] = [];
  lastSequence = 0;
  trimmedUpTo = 0;

  apply(operation: JournalOperation): void {
    if (operation.kind === "open")
      this.intents.set(operation.attemptId, { json: operation.json, outputBytes: 0, deltas: 0 });
    if (operation.kind === "checkpoint") {
      const { attemptId, outputBytes, deltas } = operation;
      const intent = this.intents.get(attemptId);
      if (intent) this.intents.set(attemptId, { ...intent, outputBytes, deltas });
    }
    if (operation.kind === "discard") this.intents.delete(operation.attemptId);
    if (operation.kind === "row") {
      if (operation.attemptId !== undefined) this.intents.delete(operation.attemptId);
      this.lastSequence += 1;
      this.rows.push({ sequence: this.lastSequence, json: operation.json });
    }
    if (operation.kind === "trim") {
      this.trimmedUpTo = Math.max(this.trimmedUpTo, operation.upTo);
      this.rows = this.rows.filter(({ sequence }) => sequence > operation.upTo);
    }
  }

  get content() {
    const intents = [...this.intents].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, intent]) => intent);
    const { lastSequence, trimmedUpTo } = this;
    return { intents, lastSequence, trimmedUpTo, rows: lastSequence - trimmedUpTo };
  }
}

test.each([1, 2, 3, 4, 5, 6])(
  "whatever is written and trimmed, and however often the file is opened, it holds what it must (seed %i)",
  (seed) => {
    const random = createRandom(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const model = new Model();
    let store = open();
    let made = 0;
    /** Some of them long over, some still open. */
    const someAttempt = () =>
      `attempt ${String(Math.max(0, made - below(below(8) === 0 ? 200 : 12))).padStart(5, "0")}`;
    const operation = (): JournalOperation => {
      const attemptId = someAttempt();
      switch (below(7)) {
        case 0:
        case 1: {
          made += 1;
          const fresh = `attempt ${String(made).padStart(5, "0")}`;
          return { kind: "open", attemptId: fresh, json: JSON.stringify({ of: fresh }) };
        }
        case 2:
          return { kind: "checkpoint", attemptId, outputBytes: below(1_000), deltas: below(50) };
        case 3:
          return below(4) === 0
            ? { kind: "discard", attemptId }
            : {
                kind: "row",
                table: "late_outcome",
                json: `"late ${attemptId}"`,
                priceId: "p",
                attemptId: undefined,
              };
        case 4:
        case 5:
          return { kind: "row", table: "cost_record", json: `"${attemptId}"`, priceId: "p", attemptId };
        default:
          return {
            kind: "trim",
            upTo: model.trimmedUpTo + below(model.lastSequence - model.trimmedUpTo + 1),
          };
      }
    };
    for (let commit = 0; commit < 400; commit++) {
      const operations = Array.from({ length: 1 + below(12) }, operation);
      // As the queue has it: what trims goes first.
      const inOrder = [
        ...operations.filter(({ kind }) => kind === "trim"),
        ...operations.filter(({ kind }) => kind !== "trim"),
      ];
      for (const each of inOrder) model.apply(each);
      expect(store.commit(packOperations(inOrder)).lastSequence).toBe(model.lastSequence);
      if (below(20) === 0) {
        store.close();
        store = open();
      }
      if (below(5) === 0) {
        expect(store.content()).toMatchObject(model.content);
        const rows = store.read(0, 10_000);
        expect(rows.map(({ sequence, json }) => ({ sequence, json }))).toEqual(model.rows);
        const after = model.trimmedUpTo + below(model.rows.length + 1);
        const expected = model.rows.filter(({ sequence }) => sequence > after).slice(0, 3);
        expect(store.read(after, 3).map(({ sequence }) => sequence)).toEqual(
          expected.map(({ sequence }) => sequence),
        );
      }
    }
    expect(made).toBeGreaterThan(300);
    store.commit(packOperations([{ kind: "trim", upTo: model.lastSequence }]));
    store.close();
    const reopened = open();
    const { intents } = model.content;
    expect(intents.length).toBeGreaterThan(10);
    expect(reopened.content()).toMatchObject({ intents, rows: 0, lastSequence: model.lastSequence });
    reopened.close();
  },
);

test("no sequence is used twice, also when a trim of many pieces is cut off between two of its steps", () => {
  const store = open();
  for (let index = 0; index < 4; index++)
    store.commit(
      packOperations([
        { kind: "row", table: "cost_record", json: "{}", priceId: undefined, attemptId: undefined },
      ]),
    );
  store.close();
  for (const expected of [2, 4]) {
    const database = new DatabaseSync(file());
    const log = openJournalLog(database);
    expect(log.trim(4, 2)).toBe(false);
    database.close();
    const reopened = open();
    expect(reopened.content()).toMatchObject({ trimmedUpTo: expected, lastSequence: 4, rows: 4 - expected });
    reopened.close();
  }
});

test("attempts that are over before their rows are trimmed leave nothing in any table", () => {
  const store = open();
  for (let index = 0; index < 50; index++) {
    const attemptId = `a${index}`;
    store.commit(packOperations([{ kind: "open", attemptId, json: "{}" }]));
    store.commit(
      packOperations([{ kind: "row", table: "cost_record", json: "{}", priceId: undefined, attemptId }]),
    );
  }
  store.commit(packOperations([{ kind: "open", attemptId: "left", json: "{}" }]));
  store.commit(packOperations([{ kind: "trim", upTo: 50 }]));
  store.close();
  const database = new DatabaseSync(file());
  expect(database.prepare("SELECT attempt_id FROM intent").all()).toEqual([{ attempt_id: "left" }]);
  expect(database.prepare("SELECT count(*) AS pieces FROM log").get()).toEqual({ pieces: 0 });
  database.close();
});

test.each([
  ["rows that were not shipped", 3, 7, { rows: 5, trimmedUpTo: 2, lastSequence: 7 }],
  ["no rows any more", 8, 7, { rows: 0, trimmedUpTo: 7, lastSequence: 7 }],
])("a file of the older form is taken over, with %s", (_, first, last, expected) => {
  const old = new DatabaseSync(file());
  old.exec(`
    CREATE TABLE price (price_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE intent (
      attempt_id TEXT PRIMARY KEY, json TEXT NOT NULL, output_bytes INTEGER NOT NULL, deltas INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE record (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, json TEXT NOT NULL, price_id TEXT,
      written_at_ms INTEGER NOT NULL
    );
    INSERT INTO price VALUES ('p', '"p"'), ('q', '"q"'), ('r', '"r"');
    INSERT INTO intent VALUES ('open', '{"priceId":"q"}', 5, 2);`);
  for (let sequence = 1; sequence <= last; sequence++)
    old.exec(
      `INSERT INTO record VALUES (${sequence}, 'cost_record', '"row ${sequence}"', 'p', ${sequence * 10})`,
    );
  old.exec(`DELETE FROM record WHERE sequence < ${first}`);
  old.close();

  const store = open();
  const rows = store.read(0, 100);
  expect(store.content()).toMatchObject({
    ...expected,
    intents: [{ json: '{"priceId":"q"}', outputBytes: 5, deltas: 2 }],
    prices: expected.rows === 0 ? ['"q"'] : ['"p"', '"q"'],
  });
  expect(rows).toEqual(
    Array.from({ length: expected.rows }, (_, index) => ({
      ...{ sequence: first + index, table: "cost_record", json: `"row ${first + index}"`, priceId: "p" },
      writtenAtMs: (first + index) * 10,
    })),
  );
  const next = {
    kind: "row",
    table: "cost_record",
    json: '"next"',
    priceId: undefined,
    attemptId: "open",
  } as const;
  expect(store.commit(packOperations([next])).lastSequence).toBe(8);
  store.close();
  const reopened = open();
  expect(reopened.content()).toMatchObject({ intents: [], lastSequence: 8 });
  reopened.close();
});

test.each([
  ["shipped all that it wrote", 900, 899, []],
  ["left rows", 3, 4, ["old 3", "old 4"]],
])("no row is lost where an earlier build, in between, %s", (_, first, last, left) => {
  const row = (json: string, attemptId: string) =>
    ({
      kind: "row",
      table: "cost_record",
      json: JSON.stringify(json),
      priceId: undefined,
      attemptId,
    }) as const;
  const before = open();
  before.commit(packOperations(["a", "b", "c"].map((name) => row(name, name))));
  before.commit(packOperations([{ kind: "trim", upTo: 1 }]));
  before.close();
  const old = new DatabaseSync(file());
  old.exec(`
    CREATE TABLE record (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, json TEXT NOT NULL, price_id TEXT,
      written_at_ms INTEGER NOT NULL
    );
    INSERT INTO record VALUES (${last}, 'cost_record', '"old ${last}"', NULL, 5);
    INSERT OR IGNORE INTO record VALUES (${first}, 'cost_record', '"old ${first}"', NULL, 5);
    DELETE FROM record WHERE ${left.length} = 0;`);
  old.close();

  const store = open();
  const texts = store.read(0, 100).map(({ sequence, json }) => [sequence, JSON.parse(json)]);
  expect(texts).toEqual(["b", "c", ...left].map((text, index) => [index + 2, text]));
  expect(store.content()).toMatchObject({ rows: 2 + left.length, lastSequence: 3 + left.length });
  store.close();
});
