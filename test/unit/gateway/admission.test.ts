import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Principal, RateLimiter } from "../../../src/core/keys.ts";
import { createRateLimiter } from "../../../src/limits/rate-limiter.ts";
import { estimateTokensIn } from "../../../src/pricing/token-estimator.ts";
import { answers, fails, hangs, usageOf } from "../../support/fake-provider.ts";
import {
  createHarness,
  DEEPSEEK,
  failureOf,
  HUGGINGFACE,
  inFakeTime,
  OPENAI,
} from "../../support/gateway-harness.ts";
import { principal, UNLIMITED } from "../../support/principals.ts";
import { inputOf, userMessage } from "../../support/provider-calls.ts";
import { refuses } from "../../support/recording-ledger.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A limiter that admits everybody and keeps the books. */
function createBookkeeper() {
  const admitted: { readonly principal: Principal; readonly tokens: number }[] = [];
  const released: number[] = [];
  const limiter: RateLimiter = {
    async admit(caller, tokens) {
      admitted.push({ principal: caller, tokens });
      return { release: (actualTokens) => void released.push(actualTokens) };
    },
  };
  return { admitted, released, limiter };
}

const limited = (limits: Partial<Principal["limits"]>) => principal({ limits: { ...UNLIMITED, ...limits } });

describe("the tokens of a request", () => {
  it("are reserved as the estimated input plus the output that the caller allows", async () => {
    const books = createBookkeeper();
    const harness = createHarness({ limiter: books.limiter });
    const input = { ...inputOf([userMessage("x".repeat(4_000))]), maxOutputTokens: 500 };
    await inFakeTime(harness.complete({ input }));
    expect(books.admitted[0]?.tokens).toBe(estimateTokensIn(input) + 500);
  });

  it("are corrected once, to what all attempts used together", async () => {
    const books = createBookkeeper();
    const harness = createHarness({ limiter: books.limiter, chain: [OPENAI, DEEPSEEK, HUGGINGFACE] });
    harness.openai.plays(fails("PROVIDER_TIMEOUT", { billing: "maybe_billed", usage: usageOf(100, 10) }));
    harness.deepseek.plays(fails("PROVIDER_QUOTA_EXHAUSTED"));
    harness.huggingface.plays(answers({ usage: usageOf(30, 4) }));
    await inFakeTime(harness.complete());
    expect(books.released).toEqual([144]);
  });

  it.each([
    ["an error", { chain: [OPENAI] }, "CONTENT_FILTERED" as const],
    ["the deadline", { chain: [OPENAI] }, undefined],
  ])("are given back after %s", async (_, options, reason) => {
    const books = createBookkeeper();
    const harness = createHarness({ ...options, limiter: books.limiter });
    harness.openai.plays(reason ? fails(reason) : hangs());
    await failureOf(harness.complete({ deadlineMs: 1_000 }));
    expect(books.released).toHaveLength(1);
  });

  it("are given back in full when the ledger refused", async () => {
    const books = createBookkeeper();
    const harness = createHarness({ limiter: books.limiter });
    harness.ledger.does({ open: refuses });
    await failureOf(harness.complete());
    expect(books.released).toEqual([0]);
  });
});

describe("a key at its limit", () => {
  it("is refused before anything is opened or sent, and the refusal is counted", async () => {
    const harness = createHarness({ limiter: createRateLimiter() });
    const caller = limited({ requestsPerMinute: 1 });
    await inFakeTime(harness.complete({ principal: caller }));
    const before = [...harness.timeline];
    await expect(inFakeTime(harness.complete({ principal: caller }))).rejects.toMatchObject({
      reason: "RATE_LIMITED",
      retryAfterMs: expect.any(Number),
    });
    expect(harness.timeline).toEqual(before);
    expect(harness.telemetry.refusedQuotas).toEqual(["requests_per_minute"]);
  });

  it("has its place back as soon as a request is over, however it ended", async () => {
    const harness = createHarness({ limiter: createRateLimiter(), chain: [OPENAI] });
    const caller = limited({ maxConcurrent: 1 });
    harness.openai.plays(hangs());
    const first = harness.complete({ principal: caller, deadlineMs: 1_000 });
    first.catch(() => {});
    await vi.advanceTimersByTimeAsync(10);
    await expect(harness.complete({ principal: caller })).rejects.toMatchObject({ reason: "RATE_LIMITED" });
    expect((await failureOf(first)).reason).toBe("DEADLINE_EXCEEDED");
    expect(await inFakeTime(harness.complete({ principal: caller }))).toMatchObject(OPENAI);
  });

  it("pays for the tokens that were really used", async () => {
    const harness = createHarness({ limiter: createRateLimiter(), chain: [OPENAI] });
    const caller = limited({ tokensPerMinute: 1_000 });
    harness.openai.plays(answers({ usage: usageOf(990, 10) }));
    await inFakeTime(harness.complete({ principal: caller }));
    await expect(harness.complete({ principal: caller })).rejects.toMatchObject({ reason: "RATE_LIMITED" });
    expect(harness.telemetry.refusedQuotas).toEqual(["tokens_per_minute"]);
  });
});
