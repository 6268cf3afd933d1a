import fc from "fast-check";
import { expect, test } from "vitest";
import { totalAttempts } from "../../../src/core/attempt-totals.ts";
import type { AttemptReport } from "../../../src/core/gateway.ts";
import { completionEnd } from "../../../src/server/convert/completion-end.ts";
import { attemptReport } from "../../support/rpc-server.ts";

const refused = attemptReport({
  outcome: "failed",
  usage: undefined,
  usageSource: "none",
  costPicoUsd: 0n,
  priceId: "price-0",
  billingState: "not_billed",
});

test("no attempts have no usage and no cost, which is not zero", () => {
  expect(totalAttempts([])).toEqual({
    usage: undefined,
    usageSource: "none",
    costPicoUsd: undefined,
    priceId: undefined,
    estimated: false,
    unpriced: false,
  });
});

test("a refused attempt costs nothing and says nothing of the price", () => {
  expect(totalAttempts([refused])).toMatchObject({ usage: undefined, costPicoUsd: 0n, priceId: undefined });
  expect(totalAttempts([refused, attemptReport()])).toMatchObject({
    costPicoUsd: 123_450_000n,
    priceId: "price-1",
    estimated: false,
  });
});

test("an optional bucket is set once any attempt stated it", () => {
  const without = attemptReport().usage;
  if (!without) throw new Error("no usage");
  const silent = { ...without, cacheReadTokensIn: undefined, reasoningTokensOut: undefined };
  const { usage } = totalAttempts([attemptReport({ usage: silent }), attemptReport()]);
  expect(usage).toMatchObject({ tokensIn: 24, cacheReadTokensIn: 2, reasoningTokensOut: 0 });
  expect(usage?.cacheWriteTokensIn).toBeUndefined();
});

test("one estimate makes the whole estimated", () => {
  const estimated = attemptReport({ usageSource: "estimated" });
  expect(totalAttempts([attemptReport(), estimated])).toMatchObject({
    usageSource: "estimated",
    estimated: true,
  });
  expect(totalAttempts([attemptReport({ billingState: "unknown" })]).estimated).toBe(true);
});

test("unpriced tokens leave the known cost, and are flagged", () => {
  const unpriced = attemptReport({ billingState: "unpriced", costPicoUsd: undefined, priceId: undefined });
  expect(totalAttempts([unpriced])).toMatchObject({ costPicoUsd: undefined, unpriced: true });
  expect(totalAttempts([unpriced, attemptReport()])).toMatchObject({
    costPicoUsd: 123_450_000n,
    unpriced: true,
  });
});

test("two prices have no common id", () => {
  expect(totalAttempts([attemptReport(), attemptReport({ priceId: "price-2" })]).priceId).toBeUndefined();
});

test("sums do not depend on the order, and buckets go on summing to the totals", () => {
  const tokens = fc.nat(1_000_000);
  const optional = fc.option(tokens, { nil: undefined });
  const report: fc.Arbitrary<AttemptReport> = fc
    .tuple(tokens, optional, optional, tokens, optional, fc.bigInt({ min: 0n, max: 10n ** 15n }))
    .map(([uncached, read, write, textOut, reasoning, costPicoUsd]) =>
      attemptReport({
        usage: {
          tokensIn: uncached + (read ?? 0) + (write ?? 0),
          tokensOut: textOut + (reasoning ?? 0),
          uncachedTokensIn: uncached,
          cacheReadTokensIn: read,
          cacheWriteTokensIn: write,
          textTokensOut: textOut,
          reasoningTokensOut: reasoning,
        },
        costPicoUsd,
      }),
    );
  fc.assert(
    fc.property(fc.array(report, { minLength: 1, maxLength: 6 }), (attempts) => {
      const totals = totalAttempts(attempts);
      expect(totalAttempts([...attempts].reverse())).toEqual(totals);
      const { usage } = totals;
      if (!usage) throw new Error("no usage");
      const bucketsIn =
        usage.uncachedTokensIn + (usage.cacheReadTokensIn ?? 0) + (usage.cacheWriteTokensIn ?? 0);
      expect(bucketsIn).toBe(usage.tokensIn);
      expect(usage.textTokensOut + (usage.reasoningTokensOut ?? 0)).toBe(usage.tokensOut);
      expect(totals.costPicoUsd).toBe(
        attempts.reduce((sum, { costPicoUsd }) => sum + (costPicoUsd ?? 0n), 0n),
      );
    }),
  );
});

test("the end of a completion names the last provider, and says whether it fell back", () => {
  const attempts = [refused, attemptReport({ provider: "deepseek", model: "deepseek-flash" })];
  expect(completionEnd("alias", { attempts, replayed: false }, true)).toEqual({
    requestedModel: "alias",
    provider: "deepseek",
    model: "deepseek-flash",
    attempts: 2,
    fellBack: true,
    streamed: true,
    replayed: false,
    tokensIn: 12,
    tokensOut: 7,
    costPicoUsd: 123_450_000n,
    providerWaitMs: 25,
  });
  // Of two that ran at once the first may answer last.
  const lost = attemptReport({ ordinal: 2, provider: "deepseek", outcome: "cancelled" });
  expect(completionEnd("alias", { attempts: [lost, attemptReport()], replayed: false }, true)).toMatchObject({
    ...{ provider: "openai", attempts: 2, fellBack: false },
  });
  const none = { provider: undefined, attempts: 0, fellBack: false };
  expect(completionEnd("m", { attempts: [], replayed: false }, false)).toMatchObject(none);
  // Its attempts were counted when they were made.
  expect(completionEnd("m", { attempts, replayed: true }, false)).toMatchObject({
    ...none,
    ...{ replayed: true, tokensIn: 0, tokensOut: 0, costPicoUsd: 0n, providerWaitMs: 0 },
  });
});
