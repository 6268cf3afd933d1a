import { describe, expect, it } from "vitest";
import { BillingState, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Fault, Script } from "../../simulator/script.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { inParallel } from "../support/in-parallel.ts";
import { expectLawL } from "../support/law-l.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

/** Both state the usage in terms of their own, and a stream's input before its output. */
const DIALECTS = ["anthropic", "gemini"] as const;

const bench = useFaultBench({
  groups: {
    anthropic: { profile: "anthropic", count: 80 },
    gemini: { profile: "gemini", count: 80 },
    openai: { profile: "openai", count: 30 },
  },
});

const WHOLE = "w00 w01 w02 w03 w04 w05 w06 w07 ";
const TYPED = /^PROVIDER_(BAD_RESPONSE|STREAM_CUT|ERROR)$/;

const BROKEN: readonly Fault[] = [
  ...(["reset", "html", "emptyBody", "truncatedJson", "emptyChoices"] as const),
  ...(["garbage", "cut", "cleanEnd", "errorEvent"] as const),
];

/** Input that costs three different prices, and output that costs one. */
const COUNTS: Script = {
  tokensIn: 1_000,
  cachedTokensIn: 600,
  cacheWriteTokensIn: 300,
  reasoningTokens: 4,
  tokensOut: 12,
};

describe.each(DIALECTS)("the dialect of %s", (dialect) => {
  it.each(CALL_KINDS)("bills a %s call to the token and the picodollar as the ledger does", async (kind) => {
    const scripts: readonly Script[] = [
      {},
      COUNTS,
      { ...COUNTS, tokensOut: 4 },
      { text: "Grüße, 日本 👋🏽" },
      { keepAlives: 2 },
      { fault: "splitUtf8" },
    ];
    await inParallel(scripts, async (script) => {
      const model = bench().candidate(dialect);
      const outcome = await bench().complete({ kind, model, scripts: { [dialect]: script } });
      expect(outcome.reason).toBeUndefined();
      expect(outcome.usage?.source).toBe(UsageSource.REPORTED);
      if (script.text !== undefined) expect(outcome.text).toBe(script.text);
    });
  });

  it.each(CALL_KINDS)("gives a %s call whose answer is broken a typed error", async (kind) => {
    await inParallel(BROKEN, async (fault) => {
      const scripts = { [dialect]: { fault, tokensOut: 8 } };
      const outcome = await bench().complete({ kind, model: bench().candidate(dialect), scripts });
      expect(outcome.reason, fault).toMatch(TYPED);
      expect(WHOLE.startsWith(outcome.text), fault).toBe(true);
      expect(outcome.text, fault).not.toBe(WHOLE);
    });
  });

  it("leaves no doubt about the input of a stream that was cut, cached tokens included", async () => {
    const scripts = { [dialect]: { ...COUNTS, fault: "cut", afterTokens: 8 } as const };
    const outcome = await bench().complete({ kind: "stream", model: bench().candidate(dialect), scripts });
    const usage = outcome.attempts[0]?.usage;
    expect(usage).toMatchObject({
      source: UsageSource.ESTIMATED,
      tokensIn: 1_000n,
      cacheReadTokensIn: 600n,
    });
  });

  it("is estimated when it says nothing of its usage", async () => {
    await inParallel(CALL_KINDS, async (kind) => {
      const scripts = { [dialect]: { fault: "noUsage", tokensOut: 8 } as const };
      const call = { kind, model: bench().candidate(dialect), scripts, usageHidden: true };
      expect(await bench().complete(call)).toMatchObject({
        reason: undefined,
        text: WHOLE,
        cost: { estimated: true },
      });
    });
  });

  it.each([
    [400, "PROVIDER_INVALID_REQUEST", "PROVIDER_INVALID_REQUEST"],
    [403, "PROVIDER_AUTHENTICATION", undefined],
    [404, "PROVIDER_MODEL_NOT_FOUND", undefined],
    [429, "PROVIDER_RATE_LIMITED", undefined],
    [500, "PROVIDER_ERROR", undefined],
    [529, "PROVIDER_OVERLOADED", undefined],
  ] as const)(
    "is not billed for status %i, and the next provider is asked unless it is final",
    async (status, reason, final) => {
      await inParallel(CALL_KINDS, async (kind) => {
        const [model, fallback] = [bench().candidate(dialect), bench().candidate("openai")];
        const scripts = { [dialect]: { status } };
        const outcome = await bench().complete({ kind, model, fallbackModels: [fallback], scripts });
        expect(outcome.reason).toBe(final);
        const [first] = outcome.attempts;
        expect(first?.billingState).toBe(BillingState.NOT_BILLED);
        expect(outcome.error?.message ?? reason).toContain(final === undefined ? reason : "HTTP 400");
      });
    },
  );

  it("stops at the request's maximum, and says so on the bill", async () => {
    await inParallel(CALL_KINDS, async (kind) => {
      const call = { kind, model: bench().candidate(dialect), maxOutputTokens: 5 };
      expect((await bench().complete(call)).usage).toMatchObject({ tokensOut: 5n });
    });
  });
});

it("the ledger equals the bill of every dialect", async () => {
  await expectLawL(bench(), "thorough");
});
