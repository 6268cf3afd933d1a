import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import type { Admission, KeyLimits, RateLimiter } from "../../../src/core/keys.ts";
import { createRateLimiter } from "../../../src/limits/rate-limiter.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { principal, UNLIMITED } from "../../support/principals.ts";

let clock: ManualClock;
let limiter: RateLimiter;
beforeEach(() => {
  clock = createManualClock();
  limiter = createRateLimiter({ clock });
});

const limited = (limits: Partial<KeyLimits>, apiKeyId = "k_caller000000") =>
  principal({ apiKeyId, limits: { ...UNLIMITED, ...limits } });

async function refusal(work: Promise<unknown>): Promise<GatewayError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GatewayError)) throw new Error(`expected a GatewayError, got ${String(error)}`);
  return error;
}

describe("what is left", () => {
  it("is told with the place, this request included, and until when", async () => {
    const caller = limited({ requestsPerMinute: 3, tokensPerMinute: 1_000 });
    await limiter.admit(caller, 100);
    clock.advance(19_000);
    const { limits } = await limiter.admit(caller, 250);
    expect(limits).toEqual({
      // The window began at 0 and the clock at 1,000 ms.
      requests: { limit: 3, remaining: 1, resetMs: 40_000 },
      tokens: { limit: 1_000, remaining: 650, resetMs: 40_000 },
    });
  });

  it("is not told of a key without limits", async () => {
    expect((await limiter.admit(principal(), 100)).limits).toBeUndefined();
  });
});

describe("requests per minute", () => {
  it("admits up to the limit and says how long to wait and which limit it was", async () => {
    const caller = limited({ requestsPerMinute: 3 });
    for (let i = 0; i < 3; i++) (await limiter.admit(caller, 10)).release(10);
    clock.advance(19_000);
    const error = await refusal(limiter.admit(caller, 10));
    expect(error).toMatchObject({
      reason: "RATE_LIMITED",
      // The window began at 0 and the clock at 1,000 ms.
      retryAfterMs: 40_000,
      quotaViolations: [{ subject: "api_key:k_caller000000", quotaId: "requests_per_minute", quotaValue: 3 }],
    });
  });

  it("admits again after the time it named, and not a millisecond earlier", async () => {
    const caller = limited({ requestsPerMinute: 1 });
    await limiter.admit(caller, 0);
    const { retryAfterMs = 0 } = await refusal(limiter.admit(caller, 0));
    clock.advance(retryAfterMs - 1);
    await refusal(limiter.admit(caller, 0));
    clock.advance(1);
    await limiter.admit(caller, 0);
  });

  it("is not refilled by a wall clock that is set forward or back", async () => {
    const caller = limited({ requestsPerMinute: 1 });
    await limiter.admit(caller, 0);
    for (const hours of [1, -1]) {
      clock.setWall(clock.now().getTime() + hours * 3_600_000);
      const { retryAfterMs } = await refusal(limiter.admit(caller, 0));
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(retryAfterMs).toBeLessThanOrEqual(60_000);
    }
  });

  it("counts each key by itself", async () => {
    for (let i = 0; i < 10_000; i++) await limiter.admit(limited({ requestsPerMinute: 1 }, `k_${i}`), 0);
    await refusal(limiter.admit(limited({ requestsPerMinute: 1 }, "k_77"), 0));
  });

  it("does not limit a key without limits", async () => {
    for (let i = 0; i < 100; i++) await limiter.admit(limited({}), 1e9);
  });
});

describe("tokens per minute", () => {
  it("takes the estimate at once and corrects it when the request ends", async () => {
    const caller = limited({ tokensPerMinute: 1_000 });
    const first = await limiter.admit(caller, 800);
    expect((await refusal(limiter.admit(caller, 300))).quotaViolations[0]?.quotaId).toBe("tokens_per_minute");
    first.release(500);
    const second = await limiter.admit(caller, 300);
    second.release(500);
    await refusal(limiter.admit(caller, 1));
  });

  it("gives a request refused by tokens back to the other limits", async () => {
    const caller = limited({ requestsPerMinute: 2, tokensPerMinute: 100, maxConcurrent: 2 });
    await limiter.admit(caller, 90);
    for (let i = 0; i < 20; i++) await refusal(limiter.admit(caller, 50));
    await limiter.admit(caller, 10);
    expect((await refusal(limiter.admit(caller, 0))).quotaViolations[0]?.quotaId).toBe("max_concurrent");
  });

  it("does not refuse what fits because of something too large that was asked at the same time", async () => {
    const caller = limited({ tokensPerMinute: 1_000 });
    const results = await Promise.allSettled([600, 600, 300].map((tokens) => limiter.admit(caller, tokens)));
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  it("refuses what is larger than the whole limit clearly, and without asking to wait", async () => {
    const error = await refusal(limiter.admit(limited({ tokensPerMinute: 100, requestsPerMinute: 1 }), 101));
    expect(error).toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: undefined });
    expect(error.message).toContain("101 tokens per minute");
    expect(error.message).toContain("never");
    expect(error.quotaViolations[0]?.quotaId).toBe("tokens_per_minute");
  });

  it("does not give tokens of an earlier minute back to the present one", async () => {
    const caller = limited({ tokensPerMinute: 100 });
    const early = await limiter.admit(caller, 100);
    clock.advance(60_000);
    await limiter.admit(caller, 100);
    early.release(0);
    await refusal(limiter.admit(caller, 1));
  });

  it("charges what was used beyond the estimate to the minute in which it became known", async () => {
    const caller = limited({ tokensPerMinute: 100 });
    const early = await limiter.admit(caller, 10);
    clock.advance(60_000);
    early.release(100);
    await limiter.admit(caller, 10);
    await refusal(limiter.admit(caller, 1));
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])(
    "takes %d for a defect of the caller",
    async (tokens) => {
      await expect(limiter.admit(limited({ tokensPerMinute: 5 }), tokens)).rejects.toThrow(RangeError);
    },
  );
});

describe("requests at the same time", () => {
  it("admits again when one ends, and counts a second release of the same request as nothing", async () => {
    const caller = limited({ maxConcurrent: 2 });
    const first = await limiter.admit(caller, 0);
    await limiter.admit(caller, 0);
    const error = await refusal(limiter.admit(caller, 0));
    expect(error).toMatchObject({
      retryAfterMs: 1_000,
      quotaViolations: [{ quotaId: "max_concurrent", quotaValue: 2 }],
    });
    first.release(0);
    first.release(0);
    await limiter.admit(caller, 0);
    await refusal(limiter.admit(caller, 0));
  });

  it("holds a place for as long as the request runs, over any number of minutes", async () => {
    const caller = limited({ maxConcurrent: 1 });
    const running = await limiter.admit(caller, 0);
    clock.advance(600_000);
    await refusal(limiter.admit(caller, 0));
    running.release(0);
    await limiter.admit(caller, 0);
  });

  it("never exceeds any limit, whatever comes in whatever order", async () => {
    const limits: KeyLimits = { requestsPerMinute: 20, tokensPerMinute: 500, maxConcurrent: 4 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ tokens: fc.nat(120), release: fc.boolean(), parallel: fc.boolean() }), {
          maxLength: 60,
        }),
        async (steps) => {
          const fresh = createRateLimiter({ clock });
          const running: { readonly place: Admission; readonly tokens: number }[] = [];
          const pending: Promise<void>[] = [];
          let admitted = 0;
          for (const { tokens, release, parallel } of steps) {
            const admission = fresh.admit(limited(limits), tokens).then(
              (place) => {
                running.push({ place, tokens });
                admitted++;
              },
              () => undefined,
            );
            pending.push(admission);
            if (!parallel) await admission;
            expect(running.length).toBeLessThanOrEqual(4);
            expect(running.reduce((sum, request) => sum + request.tokens, 0)).toBeLessThanOrEqual(500);
            if (release) running.shift()?.place.release(0);
          }
          await Promise.all(pending);
          expect(admitted).toBeLessThanOrEqual(20);
        },
      ),
    );
  });
});
