import { expect, test } from "vitest";
import { costRecordToProto } from "../../../src/server/convert/cost-to-proto.ts";
import { dateFromTimestamp, durationFromMs, timestampFromDate } from "../../../src/server/convert/time.ts";
import { amountsToJson, recordToJson, stringifyExact } from "../../../src/server/costs/cost-json.ts";
import { parseCostParameters } from "../../../src/server/costs/cost-parameters.ts";
import { costAmounts, costRecord } from "../../support/cost-samples.ts";

test("counts beyond 2^53 stay exact integers in JSON", () => {
  const tokensIn = 2n ** 60n + 1n;
  expect(stringifyExact(amountsToJson(costAmounts({ tokensIn })))).toContain(
    '"tokens_in":1152921504606846977,',
  );
});

test("what a provider says that an attempt cost is told where it says so", () => {
  const stated = costRecord({ providerCostPicoUsd: 1_234_570_000n });
  expect(recordToJson(stated).provider_cost_usd).toBe("0.001234570000");
  expect(costRecordToProto(stated).providerCostUsd).toBe("0.001234570000");
  expect(recordToJson(costRecord()).provider_cost_usd).toBeNull();
  expect(costRecordToProto(costRecord()).providerCostUsd).toBeUndefined();
});

test("times are read as RFC 3339 says, with a plus that a query turned into a space", () => {
  const now = new Date("2026-11-23T00:00:00Z");
  const start = (text: string) => parseCostParameters(`/v1/costs?start=${text}`, "sums", now).filter.start;
  expect(start("2026-11-01T00:00:00+02:00")).toEqual(new Date("2026-10-31T22:00:00Z"));
  expect(start("2026-11-01t00:00:00.123456789z")).toEqual(new Date("2026-11-01T00:00:00.123Z"));
  for (const wrong of ["2026-11-01", "2026-11-31T00:00:00Z", "2026-11-01T25:00:00Z", "1793491200", ""])
    expect(() => start(wrong), wrong).toThrow("breaks the contract");
});

test("timestamps and durations survive the way", () => {
  for (const instant of ["1969-12-31T23:59:59.999Z", "2026-11-23T12:00:00.001Z"]) {
    const date = new Date(instant);
    expect(dateFromTimestamp(timestampFromDate(date))).toEqual(date);
  }
  expect(dateFromTimestamp({ ...timestampFromDate(new Date(0)), nanos: 1 })).toEqual(new Date(1));
  expect(dateFromTimestamp({ ...timestampFromDate(new Date(0)), nanos: 1e9 })).toBeUndefined();
  expect(dateFromTimestamp({ ...timestampFromDate(new Date(0)), seconds: 2n ** 60n })).toBeUndefined();
  expect(durationFromMs(1999.9999999)).toMatchObject({ seconds: 1n, nanos: 999_999_999 });
  expect(durationFromMs(Number.NaN)).toMatchObject({ seconds: 0n, nanos: 0 });
});
