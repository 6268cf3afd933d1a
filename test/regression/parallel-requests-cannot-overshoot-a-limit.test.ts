import { describe, expect, it } from "vitest";
import { GatewayError } from "../../src/core/errors.ts";
import type { KeyLimits } from "../../src/core/keys.ts";
import { createRateLimiter } from "../../src/limits/rate-limiter.ts";
import { principal, UNLIMITED } from "../support/principals.ts";

/** Elsewhere the limit was read, then taken: 50 parallel calls spent 5,000 of 1,000. */
describe("50 parallel requests on a limit of 10", () => {
  const cases: readonly (readonly [string, Partial<KeyLimits>, number])[] = [
    ["requests per minute", { requestsPerMinute: 10 }, 0],
    ["tokens per minute", { tokensPerMinute: 1_000 }, 100],
    ["requests at the same time", { maxConcurrent: 10 }, 0],
    ["all of them", { requestsPerMinute: 10, tokensPerMinute: 1_000, maxConcurrent: 10 }, 100],
  ];

  it.each(cases)("admits exactly 10 by %s", async (_, limits, tokens) => {
    const limiter = createRateLimiter();
    const caller = principal({ limits: { ...UNLIMITED, ...limits } });
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => limiter.admit(caller, tokens)));
    const refused = results.filter((result) => result.status === "rejected").map(({ reason }) => reason);
    expect(results.length - refused.length).toBe(10);
    for (const error of refused) expect(error).toBeInstanceOf(GatewayError);
  });
});
