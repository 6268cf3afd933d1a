import { expect, test } from "vitest";
import { isDatabaseAway } from "../../../src/db/is-database-away.ts";

const withCode = (code: string) => Object.assign(new Error("as told"), { code });

test.each([
  ...["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "EHOSTUNREACH"],
  ...["08006", "08P01", "25006", "40P01", "53100", "53300", "55P03", "57P01", "57P03", "57014", "58030"],
])("%s passes by itself, also as the cause of another error", (code) => {
  expect(isDatabaseAway(withCode(code))).toBe(true);
  expect(isDatabaseAway(new Error("the migration failed", { cause: withCode(code) }))).toBe(true);
});

test.each([
  "Connection terminated unexpectedly",
  "Connection terminated due to connection timeout",
  "timeout exceeded when trying to connect",
  "Query read timeout",
])("so does a driver's error without a code: %s", (message) => {
  expect(isDatabaseAway(new Error(message))).toBe(true);
});

test.each(["28P01", "28000", "3D000", "42501", "42P01", "22003", "23505", "SELF_SIGNED_CERT_IN_CHAIN"])(
  "%s stays until somebody mends it",
  (code) => {
    expect(isDatabaseAway(withCode(code))).toBe(false);
  },
);

test("a defect is no outage", () => {
  expect(isDatabaseAway(new TypeError("x is not a function"))).toBe(false);
  expect(isDatabaseAway("ECONNREFUSED")).toBe(false);
});
