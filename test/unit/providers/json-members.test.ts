import fc from "fast-check";
import { expect, test } from "vitest";
import { changeMembers } from "../../../src/providers/json-members.ts";

const change = (json: string, changes: Record<string, string | undefined>) =>
  changeMembers(json, new Map(Object.entries(changes)));

test("a member gets its new value, and all others stay as they were written", () => {
  const json = '{ "seed": 123456789012345678901234567890, "model" : "fast", "x":1.0,"text":"\\u00e9 \\"}" }';
  expect(change(json, { model: '"gpt-5-mini"' })).toBe(
    '{"model":"gpt-5-mini","seed": 123456789012345678901234567890,"x":1.0,"text":"\\u00e9 \\"}"}',
  );
});

test("a member that is left out leaves no comma behind", () => {
  expect(change('{"a":1,"b":[{"a":2},"]"],"c":true}', { a: undefined })).toBe('{"b":[{"a":2},"]"],"c":true}');
  expect(change('{"a":1,"b":2,"c":3}', { b: undefined })).toBe('{"a":1,"c":3}');
  expect(change('{"a":1,"b":2,"c":3}', { c: undefined })).toBe('{"a":1,"b":2}');
  expect(change('{"a":1}', { a: undefined })).toBe("{}");
  expect(change(" { } ", { a: "1" })).toBe('{"a":1}');
});

test("every member of the name is changed, also one that is spelled with escapes", () => {
  expect(change('{"model":"one","\\u006dodel":"two","n":1}', { model: '"three"' })).toBe(
    '{"model":"three","n":1}',
  );
});

test("only members of the object itself are changed, whatever the object is and however it is spaced", () => {
  const json = fc.dictionary(fc.string(), fc.jsonValue()).map((object) => ({
    object,
    names: Object.keys(object),
  }));
  fc.assert(
    fc.property(json, fc.constantFrom(undefined, 1, "\t"), fc.nat(), ({ object, names }, indent, pick) => {
      const name = names[pick % Math.max(1, names.length)] ?? "none";
      const text = JSON.stringify(object, null, indent);
      const { [name]: _, ...others } = JSON.parse(text);
      expect(JSON.parse(change(text, { [name]: undefined }))).toEqual(others);
      expect(JSON.parse(change(text, { [name]: '{"new":[]}' }))).toEqual({ ...others, [name]: { new: [] } });
    }),
  );
});
