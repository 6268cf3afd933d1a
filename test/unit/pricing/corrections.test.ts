import { beforeAll, describe, expect, test } from "vitest";
import { formatUsd } from "../../../src/core/money.ts";
import type { PriceBook } from "../../../src/core/price.ts";
import { parseUsage } from "../../../src/core/usage.ts";
import { createCorrections } from "../../../src/pricing/corrections.ts";
import { priceAttempt } from "../../../src/pricing/price-attempt.ts";
import { loadPriceBook } from "../../../src/pricing/price-book.ts";
import { isInForce } from "../../../src/pricing/price-version.ts";

let book: PriceBook;
beforeAll(async () => {
  book = await loadPriceBook({});
});

/** Millionths of a dollar per 1M tokens: hit, miss, out. */
function deepseek(model: string, at: string): bigint[] | undefined {
  const price = book.find({ provider: "deepseek", model, at: new Date(at) });
  if (!price) return undefined;
  const { cacheReadPicoUsdPerToken, uncachedPicoUsdPerToken, textOutPicoUsdPerToken } = price.unitPrices;
  return [cacheReadPicoUsdPerToken, uncachedPicoUsdPerToken, textOutPicoUsdPerToken];
}

const FLASH_OFF_PEAK = [3_000n, 150_000n, 600_000n];
const FLASH_PEAK = [6_000n, 300_000n, 1_200_000n];
const PRO_OFF_PEAK = [22_000n, 660_000n, 1_980_000n];
const PRO_PEAK = [44_000n, 1_320_000n, 3_960_000n];

describe("DeepSeek Flash", () => {
  // 2026-11-23 is a Monday, 10:00 UTC of it is 18:00 in Beijing.
  test.each([
    ["2026-11-23T00:59:59Z", FLASH_OFF_PEAK],
    ["2026-11-23T01:00:00Z", FLASH_PEAK],
    ["2026-11-23T04:00:00Z", FLASH_OFF_PEAK],
    ["2026-11-23T06:00:00Z", FLASH_PEAK],
    ["2026-11-23T09:59:59Z", FLASH_PEAK],
    ["2026-11-23T10:00:00Z", FLASH_OFF_PEAK],
    ["2026-11-27T08:00:00Z", FLASH_PEAK],
    ["2026-11-28T08:00:00Z", FLASH_OFF_PEAK],
    ["2026-11-29T02:00:00Z", FLASH_OFF_PEAK],
  ])("costs at %s what its page says", (at, prices) => {
    expect(deepseek("deepseek-flash", at)).toEqual(prices);
    expect(deepseek("deepseek-v4-flash", at)).toEqual(prices);
  });

  test.each([
    ["2026-08-16T15:59:59Z", [2_800n, 140_000n, 280_000n]],
    ["2026-08-16T02:00:00Z", [2_800n, 140_000n, 280_000n]],
    ["2026-08-16T16:00:00Z", [7_000n, 220_000n, 660_000n]],
    ["2026-08-17T02:00:00Z", [14_000n, 440_000n, 1_320_000n]],
    ["2026-08-22T02:00:00Z", [14_000n, 440_000n, 1_320_000n]],
    ["2026-08-23T02:00:00Z", [7_000n, 220_000n, 660_000n]],
    ["2026-09-09T12:00:00Z", [7_000n, 220_000n, 660_000n]],
    ["2026-09-10T12:00:00Z", FLASH_OFF_PEAK],
  ])("cost at %s what was in force then", (at, prices) => {
    expect(deepseek("deepseek-v4-flash", at)).toEqual(prices);
  });

  test("an attempt costs exactly what the bill says", () => {
    const report = parseUsage({
      tokensIn: 12_345,
      tokensOut: 678,
      cacheReadTokensIn: 10_000,
      reasoningTokensOut: 600,
    });
    const price = book.find({
      provider: "deepseek",
      model: "deepseek-flash",
      at: new Date("2026-11-23T12:00:00Z"),
    });
    if (report.kind !== "reported" || !price) throw new Error("neither usage nor price");
    // 10,000 × 0.003 + 2,345 × 0.15 + 678 × 0.60 = 30 + 351.75 + 406.8 millionths
    expect(formatUsd(priceAttempt(report.usage, price).costPicoUsd)).toBe("0.000788550000");
  });
});

describe("DeepSeek V4 Pro", () => {
  test.each([
    ["a Sunday in the peak window", "2026-11-22T02:00:00Z", PRO_OFF_PEAK],
    ["the first hours of peak prices", "2026-08-16T17:00:00Z", PRO_OFF_PEAK],
    ["the hour before them", "2026-08-16T15:00:00Z", [3_625n, 435_000n, 870_000n]],
    ["a peak window before there were peak prices", "2026-07-01T02:00:00Z", [3_625n, 435_000n, 870_000n]],
    ["a Saturday when weekends were not yet off-peak", "2026-08-22T07:00:00Z", PRO_PEAK],
    ["a Monday in the peak window", "2026-11-23T02:00:00Z", PRO_PEAK],
    ["a Monday in Beijing that is a Sunday in UTC", "2026-11-22T17:00:00Z", PRO_OFF_PEAK],
  ])("is priced right on %s", (_, at, prices) => {
    expect(deepseek("deepseek-v4-pro", at)).toEqual(prices);
  });
});

describe("corrections", () => {
  test("hold for every name that the price list takes for the model", () => {
    expect(deepseek("deepseek-v4-flash-vision-exp", "2026-11-23T12:00:00Z")).toEqual(FLASH_OFF_PEAK);
    expect(deepseek("DeepSeek-V4-Pro", "2026-11-22T02:00:00Z")).toEqual(PRO_OFF_PEAK);
  });

  test.each(["deepseek-chat", "deepseek-reasoner", "deepseek-chat-v3-0324", "deepseek-r1"])(
    "leave the retired %s without a price",
    (model) => {
      for (const at of ["2025-12-01T18:00:00Z", "2026-07-25T18:00:00Z", "2026-11-23T12:00:00Z"]) {
        expect(deepseek(model, at)).toBeUndefined();
      }
    },
  );

  test("leave no instant of a priced model without exactly one price", () => {
    const start = Date.parse("2026-08-10T00:00:00Z");
    for (const { model, versions } of createCorrections()) {
      if (versions.length === 0) continue;
      for (let halfHour = 0; halfHour < 48 * 60; halfHour += 1) {
        const at = start + halfHour * 1_800_000;
        expect(
          versions.filter((version) => isInForce(version, at)).length,
          `${model} ${new Date(at).toISOString()}`,
        ).toBe(1);
      }
    }
  });
});
