import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ERROR_TABLE } from "../../../src/core/error-table.ts";
import type { ProviderErrorReason } from "../../../src/core/provider-error.ts";
import type { UsageReport } from "../../../src/core/usage.ts";
import { toSoFar } from "../../../src/providers/early-usage.ts";
import { answers, fails, streams, throws, usageOf } from "../../support/fake-provider.ts";
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

/** What follows a failure of the first of two providers: how often it is asked, and whether the second one is. */
const AFTER: Readonly<Record<ProviderErrorReason, { readonly calls: number; readonly fallsBack: boolean }>> =
  {
    PROVIDER_RATE_LIMITED: { calls: 3, fallsBack: true },
    PROVIDER_OVERLOADED: { calls: 3, fallsBack: true },
    PROVIDER_ERROR: { calls: 3, fallsBack: true },
    PROVIDER_UNREACHABLE: { calls: 3, fallsBack: true },
    PROVIDER_BAD_RESPONSE: { calls: 3, fallsBack: true },
    PROVIDER_STREAM_CUT: { calls: 3, fallsBack: true },
    PROVIDER_TIMEOUT: { calls: 1, fallsBack: true },
    PROVIDER_AUTHENTICATION: { calls: 1, fallsBack: true },
    PROVIDER_QUOTA_EXHAUSTED: { calls: 1, fallsBack: true },
    PROVIDER_MODEL_NOT_FOUND: { calls: 1, fallsBack: true },
    PROVIDER_CIRCUIT_OPEN: { calls: 1, fallsBack: true },
    PROVIDER_SKIPPED: { calls: 1, fallsBack: true },
    CONTEXT_TOO_LONG: { calls: 1, fallsBack: true },
    PROVIDER_INVALID_REQUEST: { calls: 1, fallsBack: false },
    CONTENT_FILTERED: { calls: 1, fallsBack: false },
    DEADLINE_EXCEEDED: { calls: 1, fallsBack: false },
    CANCELLED: { calls: 1, fallsBack: false },
  };

const cases = Object.entries(AFTER).map(([reason, after]) => ({
  reason: reason as ProviderErrorReason,
  ...after,
}));

describe("after a provider's failure", () => {
  it("every provider reason of the error table is covered here", () => {
    const reasons = Object.keys(ERROR_TABLE).filter((reason) => reason.startsWith("PROVIDER_"));
    expect(Object.keys(AFTER)).toEqual(expect.arrayContaining(reasons));
  });

  it.each(cases)("$reason: $calls call(s), falls back: $fallsBack", async ({ reason, calls, fallsBack }) => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(fails(reason), fails(reason), fails(reason));
    const work = harness.complete();
    if (fallsBack) expect(await inFakeTime(work)).toMatchObject(DEEPSEEK);
    else expect((await failureOf(work)).reason).toBe(reason);
    expect(harness.openai.calls).toHaveLength(calls);
    expect(harness.deepseek.calls).toHaveLength(fallsBack ? 1 : 0);
    expect(harness.telemetry.fallbacks).toEqual(
      fallsBack ? [{ fromProvider: "openai", toProvider: "deepseek", reason }] : [],
    );
    expect(harness.ledger.onlyRequest.fellBack).toBe(fallsBack);
    expectLedgerLaws(harness);
  });

  it.each(cases)("$reason is the caller's answer when no provider is left", async ({ reason }) => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(fails(reason), fails(reason), fails(reason));
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe(reason);
    expect(error.attempts.at(-1)).toMatchObject({ errorReason: reason });
    expect(harness.ledger.onlyRequest).toMatchObject({
      errorReason: reason,
      status: reason === "CANCELLED" ? "cancelled" : "error",
    });
    expectLedgerLaws(harness);
  });
});

describe("a failed answer of which the provider stated the final usage", () => {
  const failed = (usage: UsageReport) => fails("PROVIDER_BAD_RESPONSE", { billing: "maybe_billed", usage });

  it.each([false, true])("is billed, and not asked for again; streamed: %s", async (streamed) => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(failed(usageOf(10, 5)));
    const work = streamed ? inFakeTime(harness.stream()) : inFakeTime(harness.complete());
    const { provider, attempts } = await work;
    expect(provider).toBe("deepseek");
    expect(attempts.map(({ billingState }) => billingState)).toEqual(["settled", "settled"]);
    expect(harness.openai.calls).toHaveLength(1);
    expectLedgerLaws(harness);
  });

  it("is the caller's answer when no provider is left", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    harness.openai.plays(failed(usageOf(10, 0)));
    const error = await failureOf(harness.complete());
    expect(error).toMatchObject({ reason: "PROVIDER_BAD_RESPONSE", attempts: [{ usageSource: "reported" }] });
    expect(harness.openai.calls).toHaveLength(1);
    expectLedgerLaws(harness);
  });

  it.each<[string, UsageReport]>([
    ["is nothing", usageOf(0, 0)],
    ["was not the final one", toSoFar(usageOf(10, 5))],
    ["cannot be true", usageOf(-1, 5)],
  ])("is asked for again when it %s", async (_, usage) => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(failed(usage));
    expect(await inFakeTime(harness.complete())).toMatchObject(OPENAI);
    expect(harness.openai.calls).toHaveLength(2);
    expectLedgerLaws(harness);
  });
});

describe("a chain", () => {
  it("goes on to the third provider and reports every attempt with its cost", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK, HUGGINGFACE] });
    harness.openai.plays(fails("PROVIDER_QUOTA_EXHAUSTED"));
    harness.deepseek.plays(fails("PROVIDER_TIMEOUT", { billing: "maybe_billed" }));
    const result = await inFakeTime(harness.complete());
    expect(result).toMatchObject(HUGGINGFACE);
    expect(result.choices[0]?.message.parts).toEqual([{ kind: "text", text: "from huggingface" }]);
    expect(result.attempts.map(({ billingState }) => billingState)).toEqual([
      "not_billed",
      "unknown",
      "settled",
    ]);
    const [refused, silent, answered] = result.attempts;
    expect(refused?.costPicoUsd).toBe(0n);
    expect(silent?.costPicoUsd).toBeGreaterThan(0n);
    expect(answered?.costPicoUsd).toBeGreaterThan(0n);
    expectLedgerLaws(harness);
  });

  it("answers with the last error that a provider really gave, and all attempts", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(fails("PROVIDER_AUTHENTICATION"));
    harness.deepseek.plays(fails("CONTEXT_TOO_LONG"));
    const error = await failureOf(harness.complete());
    expect(error.reason).toBe("CONTEXT_TOO_LONG");
    expect(error.attempts.map(({ errorReason }) => errorReason)).toEqual([
      "PROVIDER_AUTHENTICATION",
      "CONTEXT_TOO_LONG",
    ]);
  });

  it("is no fallback in the metrics when the next model is of the same provider", async () => {
    const harness = createHarness({ chain: [OPENAI, { provider: "openai", model: "gpt-5-nano" }] });
    harness.openai.plays(fails("CONTEXT_TOO_LONG"), answers());
    expect(await inFakeTime(harness.complete())).toMatchObject({ model: "gpt-5-nano" });
    expect(harness.telemetry.fallbacks).toEqual([]);
    expect(harness.ledger.onlyRequest.fellBack).toBe(false);
  });

  it("settles an attempt in which an adapter broke, keeps what it threw for the log, and goes on", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(...Array.from({ length: 3 }, () => throws(new TypeError("secret detail"))));
    const result = await inFakeTime(harness.complete());
    expect(result.provider).toBe("deepseek");
    expect(result.attempts[0]).toMatchObject({
      outcome: "failed",
      errorReason: "PROVIDER_ERROR",
      billingState: "unknown",
    });
    expectLedgerLaws(harness);
  });

  it("hides an adapter's defect from the caller", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    const defect = new TypeError("secret detail");
    harness.openai.plays(throws(defect), throws(defect), throws(defect));
    const error = await failureOf(harness.complete());
    expect(error.message).not.toContain("secret");
    expect(error.cause).toBe(defect);
  });

  it("names the model of the provider, with the trace of the attempt, in the call", async () => {
    const harness = createHarness({ chain: [HUGGINGFACE] });
    await inFakeTime(harness.stream());
    expect(harness.huggingface.calls[0]?.call).toMatchObject({
      model: "meta-llama/Llama-3.3-70B-Instruct:groq",
      traceHeaders: { traceparent: expect.stringContaining(harness.telemetry.traceId) },
    });
  });
});

describe("a failure before a stream's first token", () => {
  it.each(cases)("$reason is handled as in a unary call", async ({ reason, calls, fallsBack }) => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    const cut = streams([], { kind: "failed", reason });
    harness.openai.plays(cut, cut, cut);
    const work = harness.stream();
    if (fallsBack) expect(await inFakeTime(work)).toMatchObject(DEEPSEEK);
    else expect((await failureOf(work)).reason).toBe(reason);
    expect(harness.openai.calls).toHaveLength(calls);
    expectLedgerLaws(harness);
  });
});
