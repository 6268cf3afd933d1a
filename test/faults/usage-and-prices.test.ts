import { describe, expect, it } from "vitest";
import { BillingState, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { costPicoUsd } from "../../simulator/prices.ts";
import { CALL_KINDS, type CompletionOutcome } from "../support/completion-client.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { inParallel, pairs } from "../support/in-parallel.ts";
import { expectLawL, type Matched } from "../support/law-l.ts";
import { picoUsdOf } from "../support/ledger-sums.ts";
import { scrape } from "../support/scrape.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const bench = useFaultBench();

/** The one call of each request: the provider's line and the ledger's record. */
async function matchesOf(outcomes: readonly CompletionOutcome[]): Promise<readonly Matched[]> {
  const { matched } = await expectLawL(bench());
  return outcomes.map(({ requestId }) => {
    const [only, ...more] = matched.filter(({ record }) => record.requestId === requestId);
    if (!only || more.length > 0) throw new Error(`${requestId} has not exactly one call`);
    return only;
  });
}

/** The ledger's cost is that of its tokens at the provider's list price, to the picodollar. */
function expectListPrice({ line, record }: Matched): void {
  const { tokensIn = 0n, tokensOut = 0n } = record.usage ?? {};
  const counted = { ...line, tokensIn: Number(tokensIn), tokensOut: Number(tokensOut) };
  expect(picoUsdOf(record.cost?.costUsd ?? "")).toBe(costPicoUsd(line.personality, line.model, counted));
}

describe("a usage that cannot be true", () => {
  const BAD: readonly { readonly usageOverride: unknown; readonly flag: string }[] = [
    { flag: "NEGATIVE", usageOverride: { prompt_tokens: -5, completion_tokens: 8, total_tokens: 3 } },
    { flag: "NEGATIVE", usageOverride: { prompt_tokens: 5, completion_tokens: -1 } },
    { flag: "NOT_AN_INTEGER", usageOverride: { prompt_tokens: "NaN", completion_tokens: 8 } },
    { flag: "NOT_AN_INTEGER", usageOverride: { prompt_tokens: 5, completion_tokens: 8.5 } },
    { flag: "NOT_AN_INTEGER", usageOverride: "a lot" },
    { flag: "TOO_LARGE", usageOverride: { prompt_tokens: 2 ** 53, completion_tokens: 8 } },
    { flag: "TOO_LARGE", usageOverride: { prompt_tokens: 5, completion_tokens: 2 ** 62 } },
    { flag: "INCOMPLETE", usageOverride: { prompt_tokens: 5 } },
    {
      flag: "CACHE_EXCEEDS_INPUT",
      usageOverride: { prompt_tokens: 5, completion_tokens: 8, prompt_tokens_details: { cached_tokens: 6 } },
    },
    {
      flag: "REASONING_EXCEEDS_OUTPUT",
      usageOverride: {
        prompt_tokens: 5,
        completion_tokens: 8,
        completion_tokens_details: { reasoning_tokens: 9 },
      },
    },
  ];

  it("is flagged and alerted, and the ledger's own count stands in for it", async () => {
    const before = await scrape(bench().gateway.url);
    const cases = pairs(CALL_KINDS, BAD);
    const outcomes = await inParallel(cases, async ([kind, { usageOverride }]) => {
      const scripts = { openai: { usageOverride, tokensOut: 8 } };
      const outcome = await bench().complete({
        kind,
        model: bench().candidate(),
        scripts,
        usageHidden: true,
      });
      expect(outcome).toMatchObject({ reason: undefined, cost: { estimated: true, unpriced: false } });
      return outcome;
    });
    for (const [index, match] of (await matchesOf(outcomes)).entries()) {
      const flag = cases[index]?.[1].flag;
      expect(match.record.flags).toContain(flag);
      expect(match.record.billingState).toBe(BillingState.SETTLED);
      // That the count is right is part of Law L.
      expectListPrice(match);
    }
    const after = await scrape(bench().gateway.url);
    for (const flag of new Set(BAD.map((bad) => bad.flag))) {
      const count = (metrics: typeof after) =>
        metrics.sum("llm_gateway_usage_anomalies_total", { anomaly: flag });
      expect(count(after) - count(before)).toBe(2 * BAD.filter((bad) => bad.flag === flag).length);
    }
  });

  it("does not keep another provider's dialect from being checked", async () => {
    const usageOverride = {
      ...{ prompt_tokens: 10, completion_tokens: 8, total_tokens: 18 },
      ...{ prompt_cache_hit_tokens: 8, prompt_cache_miss_tokens: 3 },
    };
    const scripts = { deepseek: { usageOverride, tokensOut: 8 } };
    const outcomes = await inParallel(CALL_KINDS, (kind) =>
      bench().complete({ kind, model: bench().candidate("deepseek"), scripts, usageHidden: true }),
    );
    for (const { record } of await matchesOf(outcomes)) expect(record.flags).toContain("CACHE_EXCEEDS_INPUT");
  });
});

describe("usage and price", () => {
  it("a stream costs what the same unary call costs, and that is not zero", async () => {
    const model = bench().candidate();
    const scripts = { openai: { tokensIn: 1_234, tokensOut: 321 } };
    const [unary, stream] = await Promise.all(
      CALL_KINDS.map((kind) => bench().complete({ kind, model, scripts })),
    );
    // 1,234 × 1.000001 + 321 × 4.000009 millionths of a dollar.
    expect(unary?.cost?.costUsd).toBe("0.002518004123");
    expect(stream?.cost?.costUsd).toBe("0.002518004123");
  });

  it("a million tokens cost the price of a million tokens, to the last decimal", async () => {
    await inParallel(CALL_KINDS, async (kind) => {
      const scripts = { openai: { tokensIn: 1_000_000, tokensOut: 1 } };
      const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
      expect(outcome.cost?.costUsd).toBe("1.000005000009");
    });
  });

  it("tokens of the prompt cache are counted and charged once", async () => {
    const script = { tokensIn: 10_500, cachedTokensIn: 8_000, cacheWriteTokensIn: 2_000, tokensOut: 100 };
    const cases = pairs(CALL_KINDS, ["openai", "deepseek", "huggingface"] as const);
    const outcomes = await inParallel(cases, async ([kind, group]) => {
      const scripts = { [group]: script };
      const outcome = await bench().complete({ kind, model: bench().candidate(group), scripts });
      const { usage } = outcome;
      const parts = [usage?.uncachedTokensIn, usage?.cacheReadTokensIn, usage?.cacheWriteTokensIn];
      expect(parts.reduce((sum: bigint, part) => sum + (part ?? 0n), 0n)).toBe(10_500n);
      expect(usage?.tokensIn).toBe(10_500n);
      return outcome;
    });
    for (const match of await matchesOf(outcomes)) expectListPrice(match);
  });

  it("reasoning is part of the output, shown or not", async () => {
    const cases = pairs(CALL_KINDS, ["openai", "deepseek"] as const);
    await inParallel(cases, async ([kind, group]) => {
      const scripts = { [group]: { tokensOut: 40, reasoningTokens: 30 } };
      const outcome = await bench().complete({ kind, model: bench().candidate(group), scripts });
      expect(outcome.usage).toMatchObject({ tokensOut: 40n, reasoningTokensOut: 30n, textTokensOut: 10n });
    });
  });

  it("a usage of zero that the provider states is not replaced by a guess", async () => {
    const usageOverride = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    await inParallel(CALL_KINDS, async (kind) => {
      const scripts = { openai: { usageOverride } };
      const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
      expect(outcome.usage).toMatchObject({ tokensIn: 0n, tokensOut: 0n, source: UsageSource.REPORTED });
      expect(outcome.cost).toMatchObject({ costUsd: "0.000000000000", estimated: false, unpriced: false });
    });
  });

  it("a model without a price is unpriced, which is not free: tokens kept, alerted, shown in every report", async () => {
    const model = bench().candidate("openai", "gpt-unheard-of");
    const [provider = ""] = model.split("/");
    await inParallel(CALL_KINDS, async (kind) => {
      const scripts = { openai: { tokensIn: 70, tokensOut: 30 } };
      const outcome = await bench().complete({ kind, model, scripts });
      expect(outcome).toMatchObject({ reason: undefined, usage: { tokensIn: 70n, tokensOut: 30n } });
      expect(outcome.cost).toMatchObject({ unpriced: true });
      expect(outcome.cost?.costUsd).toBeUndefined();
    });
    const metrics = await scrape(bench().gateway.url);
    expect(metrics.sum("llm_gateway_unpriced_records_total", { provider })).toBe(2);
    const report = await bench()
      .clients.costs(ADMIN_KEY)
      .costQuery({ filter: { providers: [provider] } });
    expect(report.totals).toMatchObject({
      ...{ tokensIn: 140n, tokensOut: 60n, costUsd: "0.000000000000" },
      coverage: { unpriced: { attempts: 2n, tokens: 200n }, reported: { attempts: 0n } },
    });
  });
});

describe("a request of several attempts", () => {
  it("has a row and a cost for each of them, the failed ones included", async () => {
    await inParallel(CALL_KINDS, async (kind) => {
      const chain = [bench().candidate(), bench().candidate("huggingface"), bench().candidate("deepseek")];
      const [model = "", ...fallbackModels] = chain;
      const scripts = {
        openai: { cutAfterTokens: 0 },
        huggingface: { status: 404 },
        deepseek: { tokensOut: 8 },
      };
      const outcome = await bench().complete({ kind, model, fallbackModels, scripts });
      expect(outcome.provider).toMatch(/^deepseek/);
      const tried = [...new Set(outcome.attempts.map(({ provider }) => provider))];
      expect(tried).toEqual(chain.map((name) => name.split("/")[0]));
      const costs = outcome.attempts.map(({ cost }) => picoUsdOf(cost?.costUsd ?? ""));
      expect(picoUsdOf(outcome.cost?.costUsd ?? "")).toBe(costs.reduce((sum, cost) => sum + cost, 0n));
      expect(costs[0]).toBeGreaterThan(0n);
    });
  });

  it("is logged once, also when the caller leaves as soon as it has the answer", async () => {
    const controller = new AbortController();
    const outcome = await bench().complete({
      ...{ kind: "stream", model: bench().candidate(), signal: controller.signal },
      scripts: { openai: { tokensOut: 3, tokenDelayMs: 20 } },
      onText: (text) => {
        if (text.includes("w02")) controller.abort();
      },
    });
    const { recordsOf } = await expectLawL(bench());
    expect(recordsOf(outcome.requestId)).toHaveLength(1);
  });
});
