import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, it } from "vitest";
import { BillingState, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Fault } from "../../simulator/script.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { inParallel } from "../support/in-parallel.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const bench = useFaultBench({
  groups: {
    openai: { profile: "openai", count: 60 },
    deepseek: { profile: "deepseek" },
    huggingface: { profile: "huggingface", count: 5 },
  },
});

const WHOLE = "w00 w01 w02 w03 w04 w05 w06 w07 ";
/** What is received of it before a fault in the middle. */
const HALF = "w00 w01 w02 w03 ";
/** As the tokenizer counts it, or by bytes while that is being loaded. */
const tokensOf = (text: string) => [BigInt(countTokens(text)), BigInt(text.length / 4)];
const TYPED = /^PROVIDER_(BAD_RESPONSE|STREAM_CUT|ERROR)$/;

/** Answers that are no answers. Some give up at once, some after half of the text. */
const BROKEN: readonly Fault[] = [
  ...(["reset", "html", "emptyBody", "truncatedJson", "emptyChoices"] as const),
  ...(["garbage", "cut", "cleanEnd", "errorEvent"] as const),
];

describe.each(CALL_KINDS)("a %s call whose provider's answer is broken", (kind) => {
  it("is a typed error, never a quiet success", async () => {
    await inParallel(BROKEN, async (fault) => {
      const scripts = { openai: { fault, tokensOut: 8 } };
      const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
      expect(outcome.reason).toMatch(TYPED);
      expect(WHOLE.startsWith(outcome.text)).toBe(true);
      expect(outcome.text).not.toBe(WHOLE);
      for (const { billingState, usage } of outcome.attempts) {
        const isFlagged = billingState === BillingState.UNKNOWN || usage?.source === UsageSource.ESTIMATED;
        expect(isFlagged || fault === "emptyChoices").toBe(true);
        // What a provider says of its error is not output.
        expect(Number(usage?.tokensOut)).toBeLessThanOrEqual(countTokens(HALF));
      }
    });
  });

  it("is answered by the next provider unless its text had begun", async () => {
    await inParallel(BROKEN, async (fault) => {
      const [model, fallback] = [bench().candidate(), bench().candidate("deepseek")];
      const scripts = { openai: { fault, tokensOut: 8 }, deepseek: { tokensOut: 8 } };
      const outcome = await bench().complete({ kind, model, fallbackModels: [fallback], scripts });
      const begun = kind === "stream" && model.startsWith(`${outcome.provider}/`);
      // No other provider's text follows what was delivered.
      if (begun) expect(outcome.text).toBe(HALF);
      else expect(outcome).toMatchObject({ reason: undefined, text: WHOLE });
      if (begun) expect(outcome.reason).toMatch(TYPED);
      expect(model.startsWith(`${outcome.attempts[0]?.provider}/`)).toBe(true);
      expect(outcome.attempts.at(-1)?.provider).toBe(outcome.provider);
    });
  });

  it("is complete but an estimate when the provider says nothing of its usage", async () => {
    const scripts = { openai: { fault: "noUsage" as const, tokensOut: 8 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts, usageHidden: true });
    expect(outcome).toMatchObject({ reason: undefined, text: WHOLE, cost: { estimated: true } });
    expect(outcome.usage).toMatchObject({
      tokensOut: expect.toBeOneOf(tokensOf(WHOLE)),
      source: UsageSource.ESTIMATED,
    });
  });

  it("is complete and exact with characters split over many writes", async () => {
    const scripts = { openai: { fault: "splitUtf8" as const } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
    expect(outcome).toMatchObject({ reason: undefined, text: "Grüße, 你好, 🌍 señor, naïve Ω, привет 🚀" });
    expect(outcome.usage).toMatchObject({ source: UsageSource.REPORTED });
  });

  it("is complete and exact when its headers come one by one", async () => {
    const scripts = { openai: { fault: "slowHeaders" as const, tokensOut: 8 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
    expect(outcome).toMatchObject({ reason: undefined, text: WHOLE });
  });

  it("is either whole or a typed error when a line of it has 10 MB", async () => {
    const scripts = { openai: { fault: "hugeLine" as const, tokensOut: 8, afterTokens: 0 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
    if (outcome.reason === undefined) expect(outcome.text).toBe(WHOLE);
    else expect(outcome.reason).toBe("PROVIDER_BAD_RESPONSE");
  });
});

describe("a stream without [DONE]", () => {
  it("is complete and exact once it has a finish reason and its usage", async () => {
    const scripts = { openai: { fault: "noDone" as const, tokensOut: 8 } };
    const outcome = await bench().complete({ kind: "stream", model: bench().candidate(), scripts });
    expect(outcome).toMatchObject({ reason: undefined, text: WHOLE });
    expect(outcome.usage).toMatchObject({ source: UsageSource.REPORTED });
  });
});

it.each(["deepseek", "huggingface"])(
  "a stream of %s that is cut is an error with what came",
  async (group) => {
    const scripts = { [group]: { cutAfterTokens: 3, tokensOut: 8 } };
    const outcome = await bench().complete({ kind: "stream", model: bench().candidate(group), scripts });
    expect(outcome).toMatchObject({ reason: "PROVIDER_STREAM_CUT", text: "w00 w01 w02 " });
    expect(outcome.usage).toMatchObject({
      tokensOut: expect.toBeOneOf(tokensOf(outcome.text)),
      source: UsageSource.ESTIMATED,
    });
  },
);
