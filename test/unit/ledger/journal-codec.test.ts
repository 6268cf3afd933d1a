import { expect, test } from "vitest";
import type { AttemptIntent } from "../../../src/core/ledger.ts";
import { toAttemptReport } from "../../../src/gateway/attempt-report.ts";
import { decodeIntent, decodePrice, encodeIntent, encodePrice } from "../../../src/ledger/journal-codec.ts";
import { SAMPLE_PRICE, sampleIntent, sampleOutcome } from "../../support/ledger-samples.ts";

test("a price comes back as it was, to the picodollar", () => {
  const huge = { ...SAMPLE_PRICE.unitPrices, reasoningOutPicoUsdPerToken: 2n ** 70n + 1n };
  const validTo = new Date("2027-01-01T00:00:00.123Z");
  const price = {
    ...SAMPLE_PRICE,
    ...{
      unitPrices: huge,
      tiers: [{ aboveTokensIn: 5, unitPrices: huge }],
      validTo,
      window: "01:00-04:00 UTC",
    },
  };
  expect(decodePrice(encodePrice(price))).toEqual(price);
  expect(decodePrice(encodePrice(SAMPLE_PRICE))).toEqual(SAMPLE_PRICE);
});

test("an intent comes back with its price, whatever its texts are", () => {
  const prices = new Map([[SAMPLE_PRICE.priceId, SAMPLE_PRICE]]);
  const samples: readonly Partial<AttemptIntent>[] = [
    {},
    { endUser: undefined, price: undefined, tags: {} },
    { earlierAttempts: [] },
    {
      earlierAttempts: [
        toAttemptReport(sampleOutcome()),
        { ...toAttemptReport(sampleOutcome()), costPicoUsd: undefined },
      ],
    },
    { endUser: "a\0\ud800é💸'\"", tags: { "k\n": "$1" }, streamed: true },
  ];
  for (const changes of samples) {
    const intent = sampleIntent(changes);
    expect(decodeIntent(encodeIntent(intent), prices)).toEqual(intent);
  }
});
