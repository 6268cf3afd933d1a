import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { generateKey, generateSecretFor, isApiKeyId, parseKey } from "../../../src/keys/key-format.ts";

const BASE62 = /^[0-9A-Za-z]+$/;

describe("the key format", () => {
  it("is gw_live_, a public id of 12, a secret of 32 and a checksum of 6", () => {
    const { apiKeyId, secret } = generateKey();
    expect(secret).toMatch(/^gw_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}$/);
    expect(apiKeyId).toBe(`k_${secret.slice(8, 20)}`);
    expect(isApiKeyId(apiKeyId)).toBe(true);
    expect(32 * Math.log2(62)).toBeGreaterThan(190);
  });

  it("is read back from every key it makes", () => {
    for (let i = 0; i < 500; i++) {
      const { apiKeyId, secret } = generateKey();
      expect(parseKey(secret)).toBe(apiKeyId);
    }
  });

  it("uses all 62 characters about equally", () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 2_000; i++) {
      for (const character of generateKey().secret.slice(21, 53)) {
        counts.set(character, (counts.get(character) ?? 0) + 1);
      }
    }
    expect(counts.size).toBe(62);
    // 64,000 characters: 1,032 each, with a standard deviation of 32.
    for (const count of counts.values()) expect(Math.abs(count - 1_032)).toBeLessThan(7 * 32);
  });

  it("keeps the public id when a new secret is made for it", () => {
    const { apiKeyId, secret } = generateKey();
    const other = generateSecretFor(apiKeyId);
    expect(other.secret).not.toBe(secret);
    expect(parseKey(other.secret)).toBe(apiKeyId);
  });

  it("refuses every change of a single character", () => {
    const { secret } = generateKey();
    fc.assert(
      fc.property(
        fc.nat(secret.length - 1),
        fc.string({ minLength: 0, maxLength: 2, unit: "binary" }),
        (at, put) => {
          const mutated = secret.slice(0, at) + put + secret.slice(at + 1);
          return mutated === secret || parseKey(mutated) === undefined;
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it("refuses every replacement of one base62 character by another, exhaustively", () => {
    const { secret } = generateKey();
    const alphabet = [...Array(123).keys()]
      .map((code) => String.fromCharCode(code))
      .filter((c) => BASE62.test(c));
    for (let at = 0; at < secret.length; at++) {
      for (const character of alphabet) {
        const mutated = secret.slice(0, at) + character + secret.slice(at + 1);
        if (mutated !== secret) expect(parseKey(mutated)).toBeUndefined();
      }
    }
  });

  it("refuses two neighbours that were swapped", () => {
    const { secret } = generateKey();
    for (let at = 0; at < secret.length - 1; at++) {
      const swapped = secret.slice(0, at) + secret.charAt(at + 1) + secret.charAt(at) + secret.slice(at + 2);
      if (swapped !== secret) expect(parseKey(swapped)).toBeUndefined();
    }
  });

  it.each([
    "",
    "gw_live_",
    "gw_live_%_%",
    "' OR 1=1 --",
    "sk-abc",
    `${generateKey().secret}\n`,
    ` ${generateKey().secret}`,
  ])("refuses %j", (presented) => {
    expect(parseKey(presented)).toBeUndefined();
  });

  it("has a checksum that any language with CRC-32 can compute", () => {
    const { secret } = generateKey();
    let value = 0;
    for (const character of secret.slice(-6)) {
      value =
        value * 62 + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".indexOf(character);
    }
    expect(value).toBe(crc32(secret.slice(0, -6)));
  });
});
