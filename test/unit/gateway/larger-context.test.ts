import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { answers, fails, streams } from "../../support/fake-provider.ts";
import {
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  failureOf,
  HUGGINGFACE,
  inFakeTime,
  OPENAI,
} from "../../support/gateway-harness.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const windows = (openai?: number, deepseek?: number, huggingface?: number) =>
  Object.fromEntries(
    Object.entries({
      "openai/gpt-5-mini": openai,
      "deepseek/deepseek-flash": deepseek,
      [`huggingface/${HUGGINGFACE.model}`]: huggingface,
    }).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );

const tooLong = (contextWindows: Readonly<Record<string, number>>) => {
  const harness = createHarness({ chain: [OPENAI, DEEPSEEK, HUGGINGFACE], contextWindows });
  harness.openai.plays(fails("CONTEXT_TOO_LONG"));
  return harness;
};

describe("an input that is too long for the model", () => {
  it("goes to the first of the chain with a larger window, past those with a smaller one", async () => {
    const harness = tooLong(windows(400_000, 131_072, 1_000_000));
    expect(await inFakeTime(harness.complete())).toMatchObject(HUGGINGFACE);
    expect(harness.deepseek.calls).toHaveLength(0);
    // A model that is not even asked is no fallback.
    expect(harness.telemetry.fallbacks).toEqual([
      { fromProvider: "openai", toProvider: "huggingface", reason: "CONTEXT_TOO_LONG" },
    ]);
    expectLedgerLaws(harness);
  });

  it.each([
    ["smaller", windows(400_000, 131_072, 64_000)],
    ["as large", windows(400_000, 400_000, 400_000)],
    ["unknown", windows(400_000)],
    ["larger than one that is unknown", windows(undefined, 1_000_000, 2_000_000)],
  ])("is told to its caller when all other windows are %s", async (_, contextWindows) => {
    for (const kind of ["complete", "stream"] as const) {
      const harness = tooLong(contextWindows);
      if (kind === "stream")
        harness.openai.plays(streams([], { kind: "failed", reason: "CONTEXT_TOO_LONG" }));
      const error = await failureOf(harness[kind]());
      expect(error.reason).toBe("CONTEXT_TOO_LONG");
      expect(error.attempts).toHaveLength(1);
      expect(harness.deepseek.calls).toHaveLength(0);
      expect(harness.huggingface.calls).toHaveLength(0);
      expect(harness.telemetry.fallbacks).toEqual([]);
      expectLedgerLaws(harness);
    }
  });

  it("needs a window larger than the last one that refused", async () => {
    const harness = tooLong(windows(400_000, 500_000, 450_000));
    harness.deepseek.plays(fails("CONTEXT_TOO_LONG"));
    const error = await failureOf(harness.complete());
    expect(error.attempts.map(({ provider }) => provider)).toEqual(["openai", "deepseek"]);
    expect(harness.huggingface.calls).toHaveLength(0);
  });

  it("leaves the models alone that were left out, also when the larger one fails otherwise", async () => {
    const harness = tooLong(windows(400_000, 1_000_000, 131_072));
    harness.deepseek.plays(fails("PROVIDER_AUTHENTICATION"));
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe("PROVIDER_AUTHENTICATION");
    expect(harness.huggingface.calls).toHaveLength(0);
  });

  it("is all that matters: after another failure the window of the next model does not", async () => {
    const harness = createHarness({
      chain: [OPENAI, DEEPSEEK],
      contextWindows: windows(400_000, 64_000),
    });
    harness.openai.plays(fails("PROVIDER_AUTHENTICATION"));
    harness.deepseek.plays(answers());
    expect(await inFakeTime(harness.complete())).toMatchObject(DEEPSEEK);
  });
});
