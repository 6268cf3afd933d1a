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

test("a charge has the unit prices of its own price, whatever its texts say", () => {
  const columns = ["uncached", "cache_read", "cache_write", "text_out", "reasoning_out"];
  const prices = (picoUsdPerToken: bigint) => ({
    uncachedPicoUsdPerToken: picoUsdPerToken,
    cacheReadPicoUsdPerToken: picoUsdPerToken + 1n,
    cacheWritePicoUsdPerToken: picoUsdPerToken + 2n,
    textOutPicoUsdPerToken: picoUsdPerToken + 3n,
    reasoningOutPicoUsdPerToken: picoUsdPerToken + 4n,
  });
  for (const [unitPrices, whole] of [
    [prices(7_000_000n), "7"],
    [prices(9_000_000n), "9"],
  ] as const)
    for (const endUser of ["plain", "a\0b\ud800"]) {
      const row: unknown = JSON.parse(chargeToJson({ ...sampleOutcome({ endUser }), unitPrices }));
      expect(row).toMatchObject(
        Object.fromEntries(
          columns.map((name, index) => [`${name}_usd_per_million`, `${whole}.00000${index}`]),
        ),
      );
    }
  const unpriced = JSON.parse(chargeToJson({ ...sampleOutcome({}), unitPrices: undefined })) as object;
  expect(Object.keys(unpriced).filter((name) => name.endsWith("_per_million"))).toEqual([]);
});

test("a row of an earlier build, with the instant behind the tags, tells its month, too", () => {
  const tags = { occurred_at: "2020-01-01", other: '"occurred_at":"2021-01-01"' };
  const json = JSON.stringify({ record_id: "0", tags, occurred_at: "2026-12-31T23:59:59.999Z" });
  expect(monthOf(json)).toBe("2026-12");
});

test("what is no row of a month is of no month", () => {
  for (const json of ["", "1", '{"occurred_at":1}', '{"occurred_at":"soon"}', '{"occurred_at":"+010000-01"}'])
    expect(monthOf(json), json).toBeUndefined();
});
