import { describe, expect, it } from "vitest";
import { readRequestId, readRetryAfterMs } from "../../../src/providers/read-headers.ts";
import { toSafeText } from "../../../src/providers/safe-text.ts";

describe("a provider's text in an error", () => {
  it.each([
    ["Incorrect API key provided: sk-proj-ab****wxyz.", "Incorrect API key provided: [redacted]"],
    ["token hf_abcdefGHIJ0123 is invalid", "token [redacted] is invalid"],
    ["got 'Authorization: Bearer abc.def'", "got 'Authorization: [redacted]"],
    ["a my-own-secret b", "a [redacted] b"],
    ["line one\r\nline\u0007 two", "line one line two"],
    ["a task-force at risk-free rates", "a task-force at risk-free rates"],
  ])("%j becomes %j", (text, safe) => {
    expect(toSafeText(text, ["my-own-secret"])).toBe(safe);
  });

  it("is at most 300 characters long, even of a huge one", () => {
    expect(toSafeText("x".repeat(10_000_000))).toHaveLength(300);
  });
});

describe("the headers of a response", () => {
  const nowMs = Date.parse("2026-11-23T12:00:00Z");
  it.each<[Record<string, string>, number | undefined]>([
    [{ "retry-after-ms": "1250.5", "retry-after": "9" }, 1_251],
    [{ "retry-after-ms": "soon", "retry-after": "9" }, 9_000],
    [{ "retry-after": "Mon, 23 Nov 2026 12:00:05 GMT" }, 5_000],
    [{ "retry-after": "Mon, 23 Nov 2026 11:00:00 GMT" }, 0],
    [{ "retry-after": "99999999999" }, 86_400_000],
    [{ "retry-after": "-5" }, undefined],
    [{ "retry-after": "later" }, undefined],
    [{}, undefined],
  ])("%j ask for a wait of %s ms", (headers, delayMs) => {
    expect(readRetryAfterMs(headers, nowMs)).toBe(delayMs);
  });

  it("give a request id only if it is printable, and never a long one", () => {
    expect(readRequestId({ b: "id-2" }, ["a", "b"])).toBe("id-2");
    expect(readRequestId({ a: "with space" }, ["a"])).toBeUndefined();
    expect(readRequestId({ a: "x".repeat(1_000) }, ["a"])).toHaveLength(128);
  });
});
