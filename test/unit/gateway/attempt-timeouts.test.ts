import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attemptTimeouts, type TimeoutPolicy } from "../../../src/gateway/attempt-timeouts.ts";

const policy: TimeoutPolicy = { providerTimeoutMs: 30_000, streamIdleMs: 20_000, streamTotalMs: 600_000 };

describe("the limits of one attempt", () => {
  it("are the provider's own when the deadline is far away", () => {
    const options = { remainingMs: 500_000, fallbackLeft: true, streamed: false, policy };
    expect(attemptTimeouts(options)).toEqual({ totalMs: 30_000, firstTokenMs: 30_000, idleMs: 30_000 });
  });

  it("leave half of what is left to the fallback", () => {
    const options = { remainingMs: 8_000, fallbackLeft: true, streamed: false, policy };
    expect(attemptTimeouts(options).totalMs).toBe(4_000);
  });

  it("lie behind the deadline for the last candidate, so that the deadline is what ends it", () => {
    const options = { remainingMs: 8_000, fallbackLeft: false, streamed: false, policy };
    expect(attemptTimeouts(options).totalMs).toBeGreaterThan(8_000);
  });

  it("share only the first token of a stream, since there is no fallback after it", () => {
    const options = { remainingMs: 8_000, fallbackLeft: true, streamed: true, policy };
    expect(attemptTimeouts(options)).toEqual({ totalMs: 9_000, firstTokenMs: 4_000, idleMs: 9_000 });
  });

  it("share the silence of a stream, too, when it may begin anew elsewhere", () => {
    const options = { remainingMs: 8_000, fallbackLeft: true, streamed: true, recoverable: true, policy };
    expect(attemptTimeouts(options)).toEqual({ totalMs: 9_000, firstTokenMs: 4_000, idleMs: 4_000 });
    expect(attemptTimeouts({ ...options, fallbackLeft: false }).idleMs).toBe(9_000);
  });

  it("go on behind the deadline for a call that is then drained", () => {
    const options = { remainingMs: 2_000, fallbackLeft: false, streamed: true, policy };
    const behindDeadlineMs = 60_000;
    expect(attemptTimeouts({ ...options, behindDeadlineMs })).toEqual({
      ...{ totalMs: 62_000, firstTokenMs: 30_000, idleMs: 20_000 },
    });
    expect(attemptTimeouts({ ...options, streamed: false, behindDeadlineMs }).totalMs).toBe(30_000);
  });

  it("keep a stream's idle and total limits when the deadline is far away", () => {
    const options = { remainingMs: 10_000_000, fallbackLeft: false, streamed: true, policy };
    expect(attemptTimeouts(options)).toEqual({ totalMs: 600_000, firstTokenMs: 30_000, idleMs: 20_000 });
  });

  it("are whole milliseconds, at least one, and never more than the policy says", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 1_000_000, noNaN: true }),
        fc.boolean(),
        fc.boolean(),
        (remainingMs, fallbackLeft, streamed) => {
          const timeouts = attemptTimeouts({ remainingMs, fallbackLeft, streamed, policy });
          for (const limitMs of Object.values(timeouts)) {
            expect(Number.isInteger(limitMs)).toBe(true);
            expect(limitMs).toBeGreaterThanOrEqual(1);
          }
          expect(timeouts.firstTokenMs).toBeLessThanOrEqual(policy.providerTimeoutMs);
          expect(timeouts.totalMs).toBeLessThanOrEqual(
            streamed ? policy.streamTotalMs : policy.providerTimeoutMs,
          );
          if (fallbackLeft) expect(timeouts.firstTokenMs).toBeLessThanOrEqual(Math.ceil(remainingMs / 2));
        },
      ),
    );
  });
});
