import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RateLimiter } from "../../../src/core/keys.ts";
import { answers, fails, hangs, type Step, usageOf } from "../../support/fake-provider.ts";
import {
  createHarness,
  DEEPSEEK,
  expectLedgerLaws,
  failureOf,
  type Harness,
  type HarnessOptions,
  HUGGINGFACE,
  inFakeTime,
} from "../../support/gateway-harness.ts";
import { embeddingOf } from "../../support/provider-calls.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const MODEL = { provider: "openai", model: "text-embedding-3-small" } as const;
const ANSWER = answers({ usage: usageOf(7, 0), outputBytes: 0 });

/** OpenAI makes embeddings, DeepSeek too; HuggingFace does not. */
function start(options: HarnessOptions = {}): Harness {
  const harness = createHarness({ chain: [MODEL], ...options });
  harness.openai.embeds();
  harness.deepseek.embeds();
  return harness;
}

const times = (count: number, step: Step): Step[] => Array.from({ length: count }, () => step);

describe("a call for embeddings", () => {
  it("is one attempt on the ledger, priced by its input alone", async () => {
    const harness = start();
    harness.openai.plays(ANSWER);
    const result = await inFakeTime(harness.embed());
    expect(result).toMatchObject({ ...MODEL, replayed: false });
    expect(result.vectors.map((vector) => [...vector])).toEqual([
      [0, 0.5],
      [1, 0.5],
    ]);
    expectLedgerLaws(harness);
    expect(harness.ledger.settled[0]).toMatchObject({
      intent: { method: "Embed", streamed: false },
      usage: { tokensIn: 7, tokensOut: 0 },
      billingState: "settled",
      // 0.02 USD per million tokens.
      costPicoUsd: 7n * 20_000n,
    });
    expect(harness.ledger.onlyRequest).toMatchObject({ method: "Embed", status: "ok" });
    expect(harness.telemetry.started).toMatchObject([{ method: "Embed" }]);
  });

  it("is never answered by the default chain", async () => {
    const harness = start({ defaultChain: [DEEPSEEK] });
    harness.openai.plays(...times(3, fails("PROVIDER_ERROR")));
    const error = await failureOf(harness.embed({ model: "openai/text-embedding-3-small" }));
    expect(error.reason).toBe("PROVIDER_ERROR");
    expect(harness.deepseek.calls).toEqual([]);
  });

  it("falls back to what its caller named", async () => {
    const harness = start();
    harness.openai.plays(fails("PROVIDER_TIMEOUT"));
    const result = await inFakeTime(harness.embed({ fallbackModels: ["deepseek/some-embedding"] }));
    expect(result.provider).toBe("deepseek");
    expect(harness.ledger.onlyRequest).toMatchObject({ fellBack: true, attempts: 2 });
  });

  it("leaves out candidates that make no embeddings or cannot be told all of it", async () => {
    const harness = start({ chain: [HUGGINGFACE, DEEPSEEK, MODEL] });
    harness.deepseek.embeds({ tokens: false, dimensions: true, purpose: true });
    const sequences = [[1, 2, 3], [4]];
    const input = embeddingOf([], { embedded: { kind: "tokens", sequences } });
    expect((await inFakeTime(harness.embed({ input }))).provider).toBe("openai");
    expect(harness.huggingface.calls).toEqual([]);
    expect(harness.deepseek.calls).toEqual([]);
    expect(harness.ledger.opened[0]?.estimatedTokensIn).toBe(4);
  });

  it("is refused when nobody is left, and nothing is on the ledger then", async () => {
    const harness = start({ chain: [HUGGINGFACE] });
    await expect(inFakeTime(harness.embed())).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      fieldViolations: [{ field: "model" }],
    });
    harness.openai.embeds({ tokens: true, dimensions: false, purpose: true });
    const input = embeddingOf(["a"], { dimensions: 2 });
    const refused = inFakeTime(harness.embed({ input, model: "openai/text-embedding-3-small" }));
    await expect(refused).rejects.toMatchObject({ fieldViolations: [{ field: "dimensions" }] });
    expect(harness.ledger.finished).toEqual([]);
  });

  it("whose usage is missing is estimated by its input, and flagged", async () => {
    const harness = start();
    harness.openai.plays(answers({ usage: { kind: "absent" } }));
    await inFakeTime(harness.embed());
    expect(harness.ledger.settled[0]).toMatchObject({
      usage: { tokensIn: 1 + 3, tokensOut: 0 },
      usageSource: "estimated",
      flags: ["ESTIMATED_BY_BYTES"],
    });
  });

  it("that hangs ends at its deadline, with a cost that is unknown", async () => {
    const harness = start();
    harness.openai.plays(hangs());
    const startedAtMs = performance.now();
    const error = await failureOf(harness.embed({ deadlineMs: 400 }));
    expect(error).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    expect(performance.now() - startedAtMs).toBe(400);
    expect(harness.ledger.settled[0]).toMatchObject({ outcome: "cancelled", billingState: "unknown" });
    expectLedgerLaws(harness);
  });

  it("reserves the estimate of its input, and releases what was used", async () => {
    const reserved: number[] = [];
    const limiter: RateLimiter = {
      admit: async (_principal, tokens) => {
        reserved.push(tokens);
        return { release: (used) => void reserved.push(used) };
      },
    };
    const harness = start({ limiter });
    harness.openai.plays(ANSWER);
    await inFakeTime(harness.embed());
    expect(reserved).toEqual([4, 7]);
  });

  it("does not make completions of the same model look fast or slow", async () => {
    const harness = start({ chain: [MODEL, DEEPSEEK], timeouts: { providerTimeoutMs: 1_000 } });
    harness.openai.plays(...times(20, answers({ afterMs: 900 })));
    for (let call = 0; call < 20; call += 1) await inFakeTime(harness.embed());
    // Its median exceeds half of the deadline: for embeddings it is skipped, for completions it is not.
    expect((await inFakeTime(harness.embed({ deadlineMs: 1_200 }))).provider).toBe("deepseek");
    expect((await inFakeTime(harness.complete({ deadlineMs: 1_200 }))).provider).toBe("openai");
  });
});

describe("a repeatable call for embeddings", () => {
  const SAME = { repeatable: true } as const;

  it("is made once, and its repetition gets the same vectors", async () => {
    const harness = start();
    harness.openai.plays(ANSWER);
    const first = await inFakeTime(harness.embed(SAME));
    const second = await inFakeTime(harness.embed(SAME));
    expect(second).toEqual({ ...first, native: undefined, replayed: true });
    expect(harness.openai.calls).toHaveLength(1);
  });

  it("is another one with other texts, dimensions or another method", async () => {
    const harness = start();
    await inFakeTime(harness.embed(SAME));
    const others = [embeddingOf(["one"]), embeddingOf(["one", "two words"], { dimensions: 2 })];
    for (const input of others) {
      const other = inFakeTime(harness.embed({ ...SAME, input }));
      await expect(other).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
    }
    const completion = inFakeTime(harness.complete(SAME));
    await expect(completion).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
  });

  it("whose vectors are too large is not made again, but not answered either", async () => {
    const harness = start({ maxReplayBytes: 15 });
    await inFakeTime(harness.embed(SAME));
    const again = inFakeTime(harness.embed(SAME));
    await expect(again).rejects.toMatchObject({ reason: "REQUEST_ANSWER_NOT_KEPT" });
    expect(harness.openai.calls).toHaveLength(1);
  });
});
