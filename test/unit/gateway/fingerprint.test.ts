import { expect, test } from "vitest";
import type { CompletionCall } from "../../../src/core/gateway.ts";
import { createFingerprint } from "../../../src/gateway/fingerprint.ts";
import { createHarness } from "../../support/gateway-harness.ts";
import { principal } from "../../support/principals.ts";
import { inputOf, userMessage } from "../../support/provider-calls.ts";

const fingerprint = createFingerprint(Buffer.alloc(32, 7));
const { call } = createHarness();
const of = (changes: Parameters<typeof call>[0] = {}, method: "Complete" | "StreamComplete" = "Complete") =>
  fingerprint(method, call(changes));

const input = inputOf([userMessage("Hello")]);
const image = (bytes: Uint8Array) =>
  inputOf([
    {
      ...{ role: "user", name: undefined },
      parts: [{ kind: "image", source: { kind: "bytes", bytes, mediaType: "image/png" }, detail: undefined }],
    },
  ]);

test("a fingerprint is the same for what asks for the same", () => {
  const first = of({ input });
  expect(first).toMatch(/^[\w-]{22}$/);
  expect(of({ input })).toBe(first);
  // When, until when, and under which credential it is asked does not matter.
  expect(of({ input, deadlineMs: 5, requestId: "another" })).toBe(first);
  const reversed = Object.fromEntries(Object.entries(input).reverse()) as CompletionCall["input"];
  expect(of({ input: reversed })).toBe(first);
  expect(of({ input: { ...input, seed: undefined } })).toBe(first);
});

test("tags in another order are the same tags; the key's own tags are not the caller's", () => {
  const mine = { a: "1", b: "2" };
  expect(of({ tags: { b: "2", a: "1" } })).toBe(of({ tags: mine }));
  const withKey = (value: string) =>
    of({ tags: { ...mine, team: value }, principal: principal({ tags: { team: value } }) });
  expect(withKey("search")).toBe(of({ tags: mine }));
  expect(withKey("after a change of the key")).toBe(of({ tags: mine }));
});

test("a fingerprint differs with everything that a caller can change", () => {
  const different = [
    of({ input }),
    of({ input }, "StreamComplete"),
    of({ input, model: "other" }),
    of({ input, fallbackModels: ["a"] }),
    of({ input, fallbackModels: ["a", "b"] }),
    of({ input, fallbackModels: ["a,b"] }),
    of({ input, tags: { team: "x" } }),
    of({ input, endUser: undefined }),
    of({ input: { ...input, seed: 1n } }),
    of({ input: { ...input, maxOutputTokens: 1 } }),
    of({ input: { ...input, temperature: 0 } }),
    of({ input: { ...input, temperature: 1 } }),
    of({ input: { ...input, stop: ["1"] } }),
    of({ input: inputOf([userMessage("Hello"), userMessage("")]) }),
    of({ input: image(Buffer.from([1, 2])) }),
    of({ input: image(new Uint8Array([1, 3])) }),
    createFingerprint(Buffer.alloc(32, 8))("Complete", call({ input })),
  ];
  expect(new Set(different).size).toBe(different.length);
  expect(of({ input: image(Buffer.from([1, 2])) })).toBe(of({ input: image(new Uint8Array([1, 2])) }));
});
