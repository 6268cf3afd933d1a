import { expect, test } from "vitest";
import { decodeVector, encodeVector } from "../../../src/core/vector-codec.ts";

test("a vector is base64 of little-endian floats, as OpenAI writes it", () => {
  // 1 is 0x3f800000, -2 is 0xc0000000.
  expect(encodeVector(Float32Array.of(1, -2))).toBe("AACAPwAAAMA=");
  expect(decodeVector("AACAPwAAAMA=")).toEqual(Float32Array.of(1, -2));
});

test("a part of a larger buffer is encoded as the part that it is", () => {
  const part = new Float32Array([9, 1, -2, 9]).subarray(1, 3);
  expect(encodeVector(part)).toBe("AACAPwAAAMA=");
});

test("what is no whole number of floats is refused", () => {
  for (const base64 of ["", "AAA=", "AACAPwA="]) expect(() => decodeVector(base64)).toThrow(RangeError);
});
