import { expect, test } from "vitest";
import { chargeToJson, monthOf, requestToJson } from "../../../src/ledger/stored-rows.ts";
import { sampleOutcome, sampleRequest } from "../../support/ledger-samples.ts";

test("a row tells its month, whatever its texts say", () => {
  const misleading = {
    occurredAt: new Date("2026-12-31T23:59:59.999Z"),
    tags: { occurred_at: "2020-01-01", other: '"occurred_at":"2021-01-01"' },
    endUser: '"occurred_at":"2022-01-01T00:00:00Z"}',
  };
  expect(monthOf(chargeToJson(sampleOutcome(misleading)))).toBe("2026-12");
  expect(monthOf(requestToJson("0", sampleRequest(misleading)))).toBe("2026-12");
  // Control characters in a text make the row go another way into JSON.
  const controlled = { ...misleading, endUser: "a\0b\ud800" };
  expect(monthOf(chargeToJson(sampleOutcome(controlled)))).toBe("2026-12");
});

test("what is no row of a month is of no month", () => {
  for (const json of ["", "1", '{"occurred_at":1}', '{"occurred_at":"soon"}', '{"occurred_at":"+010000-01"}'])
    expect(monthOf(json), json).toBeUndefined();
});
