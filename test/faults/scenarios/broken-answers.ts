import { expect } from "vitest";
import type { Fault, Script } from "../../../simulator/script.ts";
import { CALL_KINDS } from "../../support/completion-client.ts";
import { type BenchCall, startFaultBench } from "../../support/fault-bench.ts";
import { inBatches } from "../../support/in-parallel.ts";
import { expectLawL } from "../../support/law-l.ts";
import { figuresOf, type ScenarioFigures, scenario } from "../../support/scenario.ts";

const AT_ONCE = 30;
/** Enough of them that few get their breaker opened. */
const PROVIDERS = 60;
/** For a stall to be over soon. */
const TIMEOUT_SECONDS = 0.8;

const FAULTS: readonly (Fault | undefined)[] = [
  ...(["cut", "cut", "cut", "stall", "stall", "cleanEnd", "garbage", "truncatedJson", "errorEvent"] as const),
  ...(["reset", "hang", "hangAfterHeaders", "emptyBody", "noUsage", "noDone"] as const),
  ...[undefined, undefined, undefined],
];
/** The answer is whole in spite of them. */
const HARMLESS: readonly (Fault | undefined)[] = [undefined, "noUsage", "noDone"];

function drawCall(
  random: () => number,
  models: { readonly model: string; readonly fallback: string },
): BenchCall & { readonly fault: Fault | undefined } {
  const integer = (below: number) => Math.floor(random() * below);
  const fault = FAULTS[integer(FAULTS.length)];
  const tokensOut = 1 + integer(50);
  const script: Script = {
    ...{ tokensOut, tokenDelayMs: integer(4), latencyMs: integer(10) },
    ...(fault !== undefined && { fault, afterTokens: integer(tokensOut + 1) }),
  };
  return {
    kind: CALL_KINDS[integer(CALL_KINDS.length)] ?? "unary",
    model: models.model,
    fallbackModels: random() < 0.4 ? [models.fallback] : [],
    scripts: { openai: script },
    usageHidden: fault === "noUsage",
    fault,
  };
}

async function breakAndJudge(calls: number, random: () => number): Promise<ScenarioFigures> {
  const bench = await startFaultBench({
    groups: {
      openai: { profile: "openai", timeoutSeconds: TIMEOUT_SECONDS, count: PROVIDERS },
      deepseek: { profile: "deepseek", count: PROVIDERS },
    },
  });
  const pairs = Array.from({ length: PROVIDERS }, () => ({
    model: bench.candidate(),
    fallback: bench.candidate("deepseek"),
  }));
  const drawn = Array.from({ length: calls }, (_, index) =>
    drawCall(random, pairs[index % PROVIDERS] ?? { model: "", fallback: "" }),
  );
  const outcomes = await inBatches(AT_ONCE, drawn, async (call) => ({
    ...{ call, outcome: await bench.complete(call) },
  }));
  for (const { call, outcome } of outcomes) {
    const answeredByFirst = outcome.reason === undefined && outcome.provider.startsWith("openai");
    if (answeredByFirst) expect(HARMLESS, "a broken answer that passed for whole").toContain(call.fault);
  }
  const report = await expectLawL(bench, "thorough");
  await bench.close();
  const failed = outcomes.filter(({ outcome }) => outcome.reason !== undefined).length;
  expect(failed).toBeGreaterThan(calls / 10);
  return { ...figuresOf(report), calls, notes: `${failed} calls failed, each with a reason` };
}

export function describeBrokenAnswers(): void {
  scenario(
    "answers that are cut, stall or go wrong at random tokens are billed for what they gave, and never pass for whole",
    { short: 400, long: 5_000, timeoutMs: { short: 300_000, long: 900_000 } },
    ({ size, random }) => breakAndJudge(size, random()),
  );
}
