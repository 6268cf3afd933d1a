import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { EventParser, type TextPlace } from "../../../src/providers/event-parser.ts";
import { type JsonObject, parseJson, readObject } from "../../../src/providers/read-json.ts";

function findTexts(event: JsonObject): readonly TextPlace[] {
  const holder = readObject(event.delta);
  if (holder === undefined) return [];
  const content = { holder, name: "content" };
  return typeof event.nonce === "string" ? [content, { holder: event, name: "nonce" }] : [content];
}

const chunk = (content: string, rest = '"index":0') =>
  `{"id":"c","delta":{"content":${JSON.stringify(content)}},${rest}}`;

/** Parses one stream, and says how many of its events `JSON.parse` was not needed for. */
function parseStream(texts: readonly string[]): { readonly events: unknown[]; readonly filled: number } {
  const parser = new EventParser(findTexts);
  let filled = 0;
  const events = texts.map((text) => {
    const parse = vi.spyOn(JSON, "parse");
    const event = structuredClone(parser.parse(text));
    // A long text is copied by it, so that it does not keep all that was read.
    if (parse.mock.calls.every(([json]) => json.startsWith('"'))) filled++;
    parse.mockRestore();
    return event;
  });
  return { events, filled };
}

const expected = (texts: readonly string[]) => texts.map((text) => readObject(parseJson(text)));

test("events that differ in their text alone are not parsed anew", () => {
  const texts = ["", "Hello", " wörld", "", "💸", "a".repeat(1_000)].map((text) => chunk(text));
  expect(parseStream(texts)).toEqual({ events: expected(texts), filled: 4 });
});

test("nor are those that differ in two texts", () => {
  const texts = [
    ["one", "a"],
    ["two", 'x"y'],
    ["a2", "a1"],
    ["", ""],
    ["two", "two"],
    ["th\\ree", "1"],
    ["2", "3"],
  ].map(([content = "", nonce = ""]) => chunk(content, `"index":0,"nonce":${JSON.stringify(nonce)}`));
  expect(parseStream(texts)).toEqual({ events: expected(texts), filled: 4 });
});

test("texts that are written in another order are not mixed up", () => {
  const swapped = ["one", "two", "three"].map((text) => `{"nonce":"${text}","delta":{"content":"one"}}`);
  const alike = ["one", "two", "three"].map((text) => `{"nonce":"one","delta":{"content":"${text}"}}`);
  for (const texts of [swapped, alike]) expect(parseStream(texts).events).toEqual(expected(texts));
});

test("a text that is written with escapes, or is not between the same halves, is parsed", () => {
  const texts = [
    chunk("one"),
    chunk('a "quoted" one'),
    chunk("a\\b\n"),
    chunk("other", '"index":1'),
    '{"delta":{"content":null}}',
    // The halves overlap.
    '{"id":"c","delta":{"content":"},"index":0}',
    '{"id":"c","delta":{"content":"x',
    `${chunk("two").replace("two", "t\two")}`,
  ];
  expect(parseStream(texts)).toEqual({ events: expected(texts), filled: 0 });
});

test("a text that also stands elsewhere is not taken for the event's own", () => {
  const rivals = [
    ['{"delta":{"content":"x"},"name":"x"}', '{"delta":{"content":"x"},"name":"y"}'],
    ['{"delta":{"content":"x"},"x":1}', '{"delta":{"content":"x"},"y":1}'],
    ['{"delta":{"content":"x","content":"x"}}', '{"delta":{"content":"x","content":"y"}}'],
    ['{"delta":{"content":"x"},"content\\"x":"x"}', '{"delta":{"content":"x"},"content\\"x":"y"}'],
    // A name that hides another: what the probes are spelled as must not matter.
    ['{"delta":{"content":"\\u0061","content":"content"}}', '{"delta":{"content":"\\u0061","z":"content"}}'],
    ['{"delta":{"content":":"},"a":"b"}', '{"delta":{"content":":"},"aXb"}'],
  ];
  for (const texts of rivals) expect(parseStream(texts).events, texts[0]).toEqual(expected(texts));
});

test("a stream whose events always differ in more than the text is not probed for ever", () => {
  const texts = Array.from({ length: 20 }, (_, index) => chunk("text", `"nonce":${index}`));
  const parse = vi.spyOn(JSON, "parse");
  const parser = new EventParser(findTexts);
  for (const text of texts) parser.parse(text);
  // Of three templates, two probes and the copies of two pieces.
  expect(parse.mock.calls.length).toBe(20 + (2 + 2) * 3);
  parse.mockRestore();
});

test("whatever the events are, they are what JSON.parse makes of them", () => {
  const word = fc.constantFrom(
    "content",
    "delta",
    "a",
    "b",
    "x",
    '"',
    "\\",
    ":",
    ",",
    '":"',
    "\\u0061",
    "\n",
    "}",
    "é",
  );
  const text = fc.array(word, { maxLength: 3 }).map((words) => words.join(""));
  const event = fc
    .record({ content: text, before: text, after: text, name: text, at: fc.nat(3), first: fc.nat(1) })
    .map((parts) => {
      const [content, before, after, name] = [parts.content, parts.before, parts.after, parts.name].map(
        (part) => JSON.stringify(part),
      );
      const delta = `"delta":{${name}:${after},"content":${content}}`;
      const others = [`"nonce":${after}`, `"z":${after}`, `${name}:${before}`];
      return `{${others.toSpliced(parts.at, 0, delta).slice(parts.first).join(",")}}`;
    });
  /** A piece of the text before gives way to some characters, with quotes or without. */
  const change = fc.record({
    at: fc.nat(),
    length: fc.nat({ max: 8 }),
    inserted: fc.oneof(text, fc.string()),
  });
  let filled = 0;
  fc.assert(
    fc.property(event, fc.array(fc.oneof(event, text, change), { maxLength: 8 }), (first, others) => {
      const texts = [first];
      for (const other of others) {
        const last = texts.at(-1) ?? "";
        if (typeof other === "string") {
          // The same event with another text, or another event.
          texts.push(other.startsWith("{") ? other : replaceContent(last, other));
          continue;
        }
        const at = other.at % (last.length + 1);
        texts.push(last.slice(0, at) + other.inserted + last.slice(at + other.length));
      }
      const parsed = parseStream(texts);
      expect(parsed.events).toEqual(expected(texts));
      filled += parsed.filled;
    }),
    { numRuns: 1_000 },
  );
  expect(filled).toBeGreaterThan(100);
});

function replaceContent(eventJson: string, content: string): string {
  const event = readObject(parseJson(eventJson));
  const delta = readObject(event?.delta);
  if (event === undefined || delta === undefined) return eventJson;
  const nonce = typeof event.nonce === "string" ? { nonce: `${content}n` } : {};
  return JSON.stringify({ ...event, delta: { ...delta, content }, ...nonce });
}
