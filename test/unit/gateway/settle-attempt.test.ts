import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AttemptIntent } from "../../../src/core/ledger.ts";
import { ProviderError, type ProviderErrorOptions } from "../../../src/core/provider-error.ts";
import { estimatedUsage, parseUsage, type UsageReport } from "../../../src/core/usage.ts";
import { toAttemptReport } from "../../../src/gateway/attempt-report.ts";
import { type AttemptResult, settleAttempt } from "../../../src/gateway/settle-attempt.ts";
import { priceAttempt } from "../../../src/pricing/price-attempt.ts";
import type { CountedTokens } from "../../../src/pricing/usage-estimator.ts";
import { usageOf } from "../../support/fake-provider.ts";
import { OPENAI, priceBook } from "../../support/gateway-harness.ts";
import { sampleIntent } from "../../support/ledger-samples.ts";

const price = priceBook.find({ ...OPENAI, at: new Date("2026-11-23T12:00:00Z") });
const priced = sampleIntent({ ...OPENAI, price, estimatedTokensIn: 100 });
const unpriced = sampleIntent({ price: undefined, estimatedTokensIn: 100 });

const answered = (
  usage: UsageReport,
  outputBytes = 400,
  deltas = 0,
): Extract<AttemptResult, { kind: "answered" }> => ({
  kind: "answered",
  usage,
  received: { outputBytes, deltas },
  providerRequestId: "req_1",
  responseModel: "gpt-5-mini-2026-08-07",
});

const failed = (
  options: ProviderErrorOptions,
  reason: ProviderError["reason"] = "PROVIDER_ERROR",
): AttemptResult => ({ kind: "failed", error: new ProviderError(reason, "scripted", options) });

const settle = (intent: AttemptIntent, result: AttemptResult, tokens?: CountedTokens) =>
  settleAttempt({ intent, result, tokens, latencyMs: 812.4, timeToFirstTokenMs: undefined });

/** At a provider that bills no interrupted streams. */
const notBilled = (result: AttemptResult, intent: AttemptIntent = { ...priced, streamed: true }) =>
  settleAttempt({
    ...{ intent, result, latencyMs: 812.4, timeToFirstTokenMs: undefined },
    cancelledStreams: "not_billed",
  });

const INVALID = parseUsage({ tokensIn: -1, tokensOut: 2 });
const INPUT_ONLY: UsageReport = {
  kind: "input_only",
  input: { tokensIn: 154, uncachedTokensIn: 24, cacheReadTokensIn: 120, cacheWriteTokensIn: 10 },
};

describe("an answer", () => {
  it("with a usage costs what the price in force says, exactly", () => {
    if (!price) throw new Error("gpt-5-mini has a price");
    const usage = parseUsage({
      tokensIn: 1_000,
      tokensOut: 77,
      cacheReadTokensIn: 600,
      reasoningTokensOut: 30,
    });
    const outcome = settle(priced, answered(usage));
    const { unitPrices } = price;
    expect(outcome).toMatchObject({
      outcome: "succeeded",
      errorReason: undefined,
      usageSource: "reported",
      billingState: "settled",
      unitPrices,
      flags: [],
      latencyMs: 812.4,
      providerRequestId: "req_1",
      responseModel: "gpt-5-mini-2026-08-07",
    });
    expect(outcome.costPicoUsd).toBe(
      400n * unitPrices.uncachedPicoUsdPerToken +
        600n * unitPrices.cacheReadPicoUsdPerToken +
        47n * unitPrices.textOutPicoUsdPerToken +
        30n * unitPrices.reasoningOutPicoUsdPerToken,
    );
    expect(toAttemptReport(outcome).priceId).toBe(price.priceId);
  });

  it("with a usage of zero is believed: zero is not absent", () => {
    expect(settle(priced, answered(usageOf(0, 0)))).toMatchObject({
      usageSource: "reported",
      billingState: "settled",
      costPicoUsd: 0n,
      usage: { tokensIn: 0, tokensOut: 0 },
    });
  });

  it("without a usage is estimated by what was counted", () => {
    const tokens = { tokensIn: 87, tokensOut: 61 };
    expect(settle(priced, answered({ kind: "absent" }), tokens)).toMatchObject({
      usageSource: "estimated",
      billingState: "settled",
      usage: { ...tokens, cacheReadTokensIn: undefined },
      flags: [],
    });
  });

  it("without a usage and without a count is estimated from the bytes, and says so", () => {
    const outcome = settle(priced, answered({ kind: "absent" }));
    expect(outcome).toMatchObject({
      usageSource: "estimated",
      billingState: "settled",
      usage: { tokensIn: 100, tokensOut: 100, cacheReadTokensIn: undefined },
      flags: ["ESTIMATED_BY_BYTES"],
    });
    expect(outcome.costPicoUsd).toBeGreaterThan(0n);
  });

  it("of a stream is estimated with at least one token a delta", () => {
    expect(settle(priced, answered({ kind: "absent" }, 4, 9)).usage?.tokensOut).toBe(9);
    const tokens = { tokensIn: 87, tokensOut: 1 };
    expect(settle(priced, answered({ kind: "absent" }, 4, 9), tokens).usage?.tokensOut).toBe(9);
  });

  it("with an impossible usage is estimated and flagged, never believed", () => {
    expect(settle(priced, answered(INVALID))).toMatchObject({
      usageSource: "estimated",
      billingState: "settled",
      flags: ["NEGATIVE", "ESTIMATED_BY_BYTES"],
      usage: { tokensIn: 100 },
    });
  });

  it("for which the provider ran tools of its own costs at least its tokens, and says so", () => {
    const plain = settle(priced, answered(usageOf(1_000, 50)));
    const outcome = settle(priced, { ...answered(usageOf(1_000, 50)), separatelyBilledTools: true });
    expect(outcome).toEqual({ ...plain, usageSource: "estimated", flags: ["SEPARATELY_BILLED_TOOLS"] });
    const cut = { billing: "maybe_billed", received: { outputBytes: 40, deltas: 3 } } as const;
    expect(settle(priced, failed({ ...cut, separatelyBilledTools: true })).flags).toEqual([
      "ESTIMATED_BY_BYTES",
      "SEPARATELY_BILLED_TOOLS",
    ]);
    const refused = failed({ billing: "not_billed", separatelyBilledTools: true });
    expect(settle(priced, refused)).toMatchObject({ usageSource: "none", flags: [] });
  });

  it("of a model without a price keeps its tokens as unpriced, which is not free", () => {
    const outcome = settle(unpriced, answered(usageOf(1_000, 50)));
    expect(outcome).toMatchObject({
      billingState: "unpriced",
      usageSource: "reported",
      usage: { tokensIn: 1_000, tokensOut: 50 },
    });
    expect(outcome.costPicoUsd).toBeUndefined();
    expect(toAttemptReport(outcome).priceId).toBeUndefined();
  });

  it("of a model without a price costs nothing when it used nothing", () => {
    expect(settle(unpriced, answered(usageOf(0, 0)))).toMatchObject({
      billingState: "settled",
      costPicoUsd: 0n,
    });
  });

  it("is not lost when its price cannot be applied", () => {
    const broken = { ...sampleIntent().price, tiers: undefined } as unknown as AttemptIntent["price"];
    const outcome = settle(sampleIntent({ price: broken }), answered(usageOf(1_000, 50)));
    expect(outcome).toMatchObject({
      usage: { tokensIn: 1_000, tokensOut: 50 },
      billingState: "unpriced",
      costPicoUsd: undefined,
      flags: ["PRICING_FAILED"],
    });
  });
});

describe("a failure", () => {
  it("before any work costs nothing and has no tokens", () => {
    expect(settle(priced, failed({ billing: "not_billed" }, "PROVIDER_UNREACHABLE"))).toMatchObject({
      outcome: "failed",
      errorReason: "PROVIDER_UNREACHABLE",
      billingState: "not_billed",
      usageSource: "none",
      usage: undefined,
      costPicoUsd: 0n,
      unitPrices: undefined,
    });
  });

  it("without a trace of an answer is unknown, with the input as the estimate", () => {
    const outcome = settle(priced, failed({ billing: "maybe_billed" }, "PROVIDER_TIMEOUT"));
    expect(outcome).toMatchObject({
      billingState: "unknown",
      usageSource: "estimated",
      usage: { tokensIn: 100, tokensOut: 0 },
    });
    expect(outcome.costPicoUsd).toBeGreaterThan(0n);
  });

  it("without a trace of an answer and without a price has no cost, also for an empty input", () => {
    for (const estimatedTokensIn of [100, 0]) {
      const outcome = settle({ ...unpriced, estimatedTokensIn }, failed({ billing: "maybe_billed" }));
      expect(outcome).toMatchObject({ billingState: "unknown", costPicoUsd: undefined });
    }
  });

  it("in the middle of a stream is settled by what was received", () => {
    const received = { outputBytes: 41, deltas: 3 };
    const outcome = settle(priced, failed({ billing: "maybe_billed", received }, "PROVIDER_STREAM_CUT"));
    expect(outcome).toMatchObject({
      billingState: "settled",
      usageSource: "estimated",
      usage: { tokensIn: 100, tokensOut: 11 },
    });
  });

  it("with a stated usage is settled by it, whatever else it says", () => {
    for (const billing of ["maybe_billed", "not_billed"] as const) {
      expect(settle(priced, failed({ billing, usage: usageOf(7, 3) }))).toMatchObject({
        outcome: "failed",
        billingState: "settled",
        usageSource: "reported",
        usage: { tokensIn: 7, tokensOut: 3 },
      });
    }
  });

  it("after the input was stated early is settled by that input and the output received", () => {
    const received = { outputBytes: 41, deltas: 3 };
    const early = failed({ billing: "maybe_billed", usage: INPUT_ONLY, received }, "CANCELLED");
    const outcome = settle(priced, early);
    expect(outcome).toMatchObject({
      billingState: "settled",
      usageSource: "estimated",
      flags: ["INPUT_REPORTED", "ESTIMATED_BY_BYTES"],
      usage: {
        ...{ tokensIn: 154, uncachedTokensIn: 24, cacheReadTokensIn: 120, cacheWriteTokensIn: 10 },
        ...{ tokensOut: 11, textTokensOut: 11, reasoningTokensOut: undefined },
      },
    });
    expect(outcome.costPicoUsd).toBe(
      outcome.usage && price && priceAttempt(outcome.usage, price).costPicoUsd,
    );
  });

  it("after the input was stated and before any output is settled, since the provider has read it", () => {
    expect(settle(priced, failed({ billing: "maybe_billed", usage: INPUT_ONLY }))).toMatchObject({
      billingState: "settled",
      usageSource: "estimated",
      usage: { tokensIn: 154, tokensOut: 0 },
    });
    expect(settle(unpriced, failed({ billing: "maybe_billed", usage: INPUT_ONLY }))).toMatchObject({
      billingState: "unpriced",
      costPicoUsd: undefined,
    });
  });

  it("after a usage in mid-stream is settled by it, with the output raised to what was counted", () => {
    const report = parseUsage({ tokensIn: 20, tokensOut: 8, cacheReadTokensIn: 5, reasoningTokensOut: 6 });
    if (report.kind !== "reported") throw new Error("unreachable");
    const received = { outputBytes: 40, deltas: 3 };
    const usage: UsageReport = { kind: "so_far", usage: report.usage };
    const cut = failed({ billing: "maybe_billed", usage, received }, "CANCELLED");
    const settledWith = (tokensOut: number) => settle(priced, cut, { tokensIn: 99, tokensOut });
    expect(settledWith(11)).toMatchObject({
      ...{ billingState: "settled", usageSource: "estimated", flags: ["INPUT_REPORTED"] },
      usage: {
        ...{ tokensIn: 20, uncachedTokensIn: 15, cacheReadTokensIn: 5 },
        ...{ tokensOut: 11, textTokensOut: 5, reasoningTokensOut: 6 },
      },
    });
    // What the provider stated is a floor: hidden reasoning is in it, and no text shows that.
    expect(settledWith(4).usage).toEqual(report.usage);
  });

  it("with an impossible usage keeps the flag", () => {
    expect(settle(priced, failed({ billing: "not_billed", usage: INVALID })).flags).toEqual(["NEGATIVE"]);
    expect(settle(priced, failed({ billing: "maybe_billed", usage: INVALID })).flags).toEqual([
      "NEGATIVE",
      "ESTIMATED_BY_BYTES",
    ]);
  });

  it.each(["CANCELLED", "DEADLINE_EXCEEDED"] as const)("of kind %s counts as cancelled", (reason) => {
    expect(settle(priced, failed({ billing: "maybe_billed" }, reason)).outcome).toBe("cancelled");
  });

  it.each(["CANCELLED", "DEADLINE_EXCEEDED", "PROVIDER_TIMEOUT", "PROVIDER_STREAM_CUT"] as const)(
    "of kind %s costs nothing where interrupted streams are not billed, and says why",
    (reason) => {
      const received = { outputBytes: 41, deltas: 3 };
      for (const usage of [undefined, INPUT_ONLY]) {
        expect(notBilled(failed({ billing: "maybe_billed", received, usage }, reason))).toMatchObject({
          ...{ billingState: "not_billed", costPicoUsd: 0n, usage: undefined, usageSource: "none" },
          flags: ["NOT_BILLED_BY_POLICY"],
        });
      }
    },
  );

  it("is billed there, too, when the provider had finished, answered nonsense or was not streaming", () => {
    const final = failed({ billing: "maybe_billed", usage: usageOf(7, 3) }, "CANCELLED");
    const nonsense = failed({ billing: "maybe_billed" }, "PROVIDER_BAD_RESPONSE");
    const left = failed({ billing: "maybe_billed" }, "CANCELLED");
    expect(notBilled(final)).toMatchObject({ billingState: "settled", usageSource: "reported" });
    expect(notBilled(nonsense)).toMatchObject({ billingState: "unknown" });
    expect(notBilled(left, { ...priced, streamed: false })).toMatchObject({ billingState: "unknown" });
    expect(notBilled(failed({ billing: "not_billed" }, "CANCELLED")).flags).toEqual([]);
  });

  it("keeps the provider's request id, for a question to its support", () => {
    const outcome = settle(priced, failed({ billing: "maybe_billed", providerRequestId: "req_9" }));
    expect(outcome).toMatchObject({ providerRequestId: "req_9", responseModel: undefined });
  });
});

describe("the laws of an outcome", () => {
  const tokens = fc.integer({ min: 0, max: 2_000_000 });
  const usage: fc.Arbitrary<UsageReport> = fc.oneof(
    fc.tuple(tokens, tokens).map(([tokensIn, tokensOut]) => usageOf(tokensIn, tokensOut)),
    fc.constant<UsageReport>({ kind: "absent" }),
    fc.constant(INVALID),
    fc.constant(INPUT_ONLY),
    fc.tuple(tokens, tokens).map(([tokensIn, tokensOut]): UsageReport => {
      return { kind: "so_far", usage: estimatedUsage(tokensIn, tokensOut) };
    }),
  );
  const received = fc.record({ outputBytes: tokens, deltas: fc.integer({ min: 0, max: 1_000 }) });
  const result: fc.Arbitrary<AttemptResult> = fc.oneof(
    fc.record({ usage, received }).map(
      (parts): AttemptResult => ({
        kind: "answered",
        providerRequestId: undefined,
        responseModel: undefined,
        ...parts,
      }),
    ),
    fc
      .record({ usage, received, billing: fc.constantFrom("not_billed" as const, "maybe_billed" as const) })
      .map((options) => failed(options)),
  );

  it("hold for every result: cost, state, tokens and prices agree", () => {
    fc.assert(
      fc.property(fc.constantFrom(priced, unpriced), result, (intent, attempt) => {
        const outcome = settle(intent, attempt);
        const isPriced = intent.price !== undefined;
        expect(outcome.costPicoUsd === undefined).toBe(
          outcome.billingState === "unpriced" || (outcome.billingState === "unknown" && !isPriced),
        );
        expect(outcome.usage === undefined).toBe(outcome.billingState === "not_billed");
        expect(outcome.usageSource === "none").toBe(outcome.billingState === "not_billed");
        if (outcome.usage && intent.price) {
          expect(outcome.costPicoUsd).toBe(priceAttempt(outcome.usage, intent.price).costPicoUsd);
          expect(outcome.unitPrices).toBeDefined();
        }
        if (attempt.kind === "answered") expect(["settled", "unpriced"]).toContain(outcome.billingState);
      }),
      { numRuns: 300 },
    );
  });
});
