import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BreakerState } from "../../../src/core/telemetry.ts";
import {
  type BreakerPermit,
  type CircuitBreaker,
  createCircuitBreaker,
  DEFAULT_CIRCUIT_BREAKER,
} from "../../../src/resilience/circuit-breaker.ts";
import { createManualClock } from "../../support/manual-clock.ts";

function setUp() {
  const clock = createManualClock();
  const states: BreakerState[] = [];
  const breaker = createCircuitBreaker(clock, (state) => states.push(state));
  return { clock, states, breaker };
}

function acquire(breaker: CircuitBreaker): BreakerPermit {
  const permit = breaker.tryAcquire();
  if (!permit) throw new Error("the breaker refuses");
  return permit;
}

function fail(breaker: CircuitBreaker, count = 1): void {
  for (let call = 0; call < count; call += 1) acquire(breaker).failed();
}

describe("a closed breaker", () => {
  it("opens with the fifth failure in a row", () => {
    const { breaker, states } = setUp();
    fail(breaker, 4);
    expect(breaker.state).toBe("closed");
    fail(breaker);
    expect(breaker.state).toBe("open");
    expect(breaker.tryAcquire()).toBeUndefined();
    expect(states).toEqual(["open"]);
  });

  it("starts to count anew after a success, but not after a neutral outcome", () => {
    const { breaker } = setUp();
    fail(breaker, 4);
    acquire(breaker).succeeded();
    fail(breaker, 4);
    acquire(breaker).neutral();
    expect(breaker.state).toBe("closed");
    fail(breaker);
    expect(breaker.state).toBe("open");
  });

  it("opens when half of at least twenty calls of the window failed, though never five in a row", () => {
    const { breaker } = setUp();
    for (let pair = 0; pair < 9; pair += 1) {
      acquire(breaker).succeeded();
      fail(breaker);
    }
    acquire(breaker).succeeded();
    expect(breaker.state).toBe("closed");
    fail(breaker);
    expect(breaker.state).toBe("open");
  });

  it("forgets the calls of an older window", () => {
    const { breaker, clock } = setUp();
    for (let pair = 0; pair < 9; pair += 1) {
      acquire(breaker).succeeded();
      fail(breaker);
    }
    clock.advance(DEFAULT_CIRCUIT_BREAKER.windowMs + 1);
    acquire(breaker).succeeded();
    fail(breaker);
    expect(breaker.state).toBe("closed");
  });

  it("is not moved by neutral outcomes, however many", () => {
    const { breaker, states } = setUp();
    for (let call = 0; call < 100; call += 1) acquire(breaker).neutral();
    expect(states).toEqual([]);
  });
});

describe("an open breaker", () => {
  it("refuses for five seconds, then lets exactly one probe through", () => {
    const { breaker, clock } = setUp();
    fail(breaker, 5);
    clock.advance(4_999);
    expect(breaker.tryAcquire()).toBeUndefined();
    clock.advance(1);
    const probe = acquire(breaker);
    expect(breaker.state).toBe("half_open");
    expect(breaker.tryAcquire()).toBeUndefined();
    probe.succeeded();
    expect(breaker.state).toBe("closed");
    expect(breaker.tryAcquire()).toBeDefined();
  });

  it("says that it refuses without being moved by the question", () => {
    const { breaker, clock } = setUp();
    expect(breaker.refuses).toBe(false);
    fail(breaker, 5);
    expect(breaker.refuses).toBe(true);
    clock.advance(5_000);
    expect([breaker.refuses, breaker.refuses, breaker.state]).toEqual([false, false, "open"]);
    acquire(breaker);
    expect(breaker.refuses).toBe(true);
  });

  it("is closed by a probe with a clean record: it takes five failures again", () => {
    const { breaker, clock } = setUp();
    fail(breaker, 5);
    clock.advance(5_000);
    acquire(breaker).succeeded();
    fail(breaker, 4);
    expect(breaker.state).toBe("closed");
  });

  it("doubles its time with each probe that fails, up to a minute, and starts over once closed", () => {
    const { breaker, clock } = setUp();
    fail(breaker, 5);
    for (const openMs of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
      clock.advance(openMs - 1);
      expect(breaker.tryAcquire(), `${openMs}`).toBeUndefined();
      clock.advance(1);
      fail(breaker);
      expect(breaker.state).toBe("open");
    }
    clock.advance(60_000);
    acquire(breaker).succeeded();
    fail(breaker, 5);
    clock.advance(5_000);
    expect(breaker.tryAcquire()).toBeDefined();
  });

  it("takes another probe at once when the first one says nothing", () => {
    const { breaker, clock } = setUp();
    fail(breaker, 5);
    clock.advance(5_000);
    acquire(breaker).neutral();
    expect(breaker.state).toBe("half_open");
    expect(breaker.tryAcquire()).toBeDefined();
    expect(breaker.tryAcquire()).toBeUndefined();
  });

  it("is not held by a probe that never ends: the next one may try after as long again", () => {
    const { breaker, clock } = setUp();
    fail(breaker, 5);
    clock.advance(5_000);
    const stuck = acquire(breaker);
    clock.advance(4_999);
    expect(breaker.tryAcquire()).toBeUndefined();
    clock.advance(1);
    const second = acquire(breaker);
    stuck.neutral();
    expect(breaker.tryAcquire(), "the second probe is still out").toBeUndefined();
    second.succeeded();
    expect(breaker.state).toBe("closed");
  });

  it("is not moved any more by outcomes from before it changed", () => {
    const { breaker, clock, states } = setUp();
    const [early, late] = [acquire(breaker), acquire(breaker)];
    fail(breaker, 5);
    early.succeeded();
    late.failed();
    expect(states).toEqual(["open"]);
    clock.advance(5_000);
    const stuck = acquire(breaker);
    clock.advance(5_000);
    acquire(breaker).failed();
    stuck.succeeded();
    expect(breaker.state).toBe("open");
    clock.advance(10_000);
    expect(breaker.tryAcquire()).toBeDefined();
  });
});

describe("the laws of a breaker", () => {
  const step = fc.oneof(
    fc.record({ outcome: fc.constantFrom("succeeded" as const, "failed" as const, "neutral" as const) }),
    fc.record({ advanceMs: fc.integer({ min: 0, max: 70_000 }) }),
  );

  it("hold: it never refuses while closed, and never for longer than the longest open time", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { breaker, clock, states } = setUp();
        for (const action of steps) {
          if ("advanceMs" in action) clock.advance(action.advanceMs);
          else {
            const wasClosed = breaker.state === "closed";
            const permit = breaker.tryAcquire();
            if (wasClosed) expect(permit).toBeDefined();
            permit?.[action.outcome]();
          }
        }
        for (const [index, state] of states.entries()) expect(state).not.toBe(states[index + 1]);
        clock.advance(DEFAULT_CIRCUIT_BREAKER.maxOpenMs);
        expect(breaker.tryAcquire()).toBeDefined();
      }),
    );
  });
});
