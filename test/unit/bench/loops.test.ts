import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { runClosedLoop } from "../../../bench/closed-loop.ts";
import { runOpenLoop } from "../../../bench/open-loop.ts";
import type { Done, Target } from "../../../bench/target.ts";

/** Answers each call in the next turn; every tenth fails. Keeps what a run did to it. */
function createFakeTarget() {
  const seen = { calls: 0, open: 0, mostOpen: 0 };
  const answer = async (number: number, done: Done) => {
    await nextTurn();
    seen.open -= 1;
    done(number % 10 === 0 ? "every tenth" : undefined, 3);
  };
  const target: Target = {
    send(done) {
      seen.calls += 1;
      seen.open += 1;
      seen.mostOpen = Math.max(seen.mostOpen, seen.open);
      void answer(seen.calls, done);
    },
    close: () => Promise.resolve(),
  };
  return { target, seen };
}

describe("the closed loop", () => {
  it("keeps the given number of calls in flight and accounts for every one of them", async () => {
    const { target, seen } = createFakeTarget();
    const result = await runClosedLoop(target, {
      inFlight: 7,
      warmUpSeconds: 0.02,
      seconds: 0.05,
      sample: () => seen.calls,
    });
    expect(seen.mostOpen).toBe(7);
    expect(seen.open).toBe(0);
    expect(result.tally.calls).toBe(seen.calls);
    expect(result.tally.failures).toEqual(new Map([["every tenth", Math.floor(seen.calls / 10)]]));
    expect(result.tally.succeeded + result.tally.failed).toBe(seen.calls);
    expect(result.latency.count).toBe(result.measured);
    expect(result.measuredMessages).toBe(3 * result.measured);
    expect(result.before).toBeLessThan(result.after);
    expect(result.measured).toBeLessThan(result.tally.succeeded);
  });
});

describe("the open loop", () => {
  it("makes exactly as many calls as the rate demands and waits for all of them", async () => {
    const { target, seen } = createFakeTarget();
    const result = await runOpenLoop(target, {
      perSecond: 1_000,
      warmUpSeconds: 0.02,
      seconds: 0.1,
      sample: () => seen.calls,
    });
    expect(seen.calls).toBe(120);
    expect(seen.open).toBe(0);
    expect(result.tally.calls).toBe(120);
    expect(result.before).toBe(20);
    expect(result.after).toBe(120);
    expect(result.measured).toBe(result.latency.count);
  });

  it("counts what a target cannot take as failed instead of piling it up", async () => {
    const waiting: Done[] = [];
    const target: Target = { send: (done) => void waiting.push(done), close: () => Promise.resolve() };
    let samples = 0;
    const { tally } = await runOpenLoop(target, {
      perSecond: 100_000,
      warmUpSeconds: 0,
      seconds: 0.03,
      sample: () => {
        samples += 1;
        // The second sample is taken when the last call was due.
        if (samples === 2) for (const done of waiting) done(undefined, 1);
      },
    });
    expect(waiting).toHaveLength(2_000);
    expect(tally.succeeded).toBe(2_000);
    expect(tally.failures).toEqual(new Map([["more calls open than the target can take", 1_000]]));
  });
});
