import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PhaseTimer } from "../../../src/providers/phase-timer.ts";

describe("the timer of a call", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  function start(totalMs: number) {
    const timeouts: string[] = [];
    const timer = new PhaseTimer({ totalMs, onTimeout: (phase) => timeouts.push(phase) });
    return { timer, timeouts };
  }

  it("fires the limit of the phase that it is in, once", () => {
    const { timer, timeouts } = start(1_000);
    timer.enter("connect", 100);
    timer.enter("first_token", 300, timer.startedMs);
    vi.advanceTimersByTime(299);
    expect(timeouts).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(timeouts).toEqual(["first_token"]);
    vi.advanceTimersByTime(5_000);
    expect(timeouts).toEqual(["first_token"]);
  });

  it("fires the total limit when it comes first", () => {
    const { timer, timeouts } = start(200);
    timer.enter("idle", 300);
    vi.advanceTimersByTime(200);
    expect(timeouts).toEqual(["total"]);
  });

  it("starts the idle limit anew with every event, on one native timer", () => {
    const { timer, timeouts } = start(10_000);
    timer.enter("idle", 100);
    for (let i = 0; i < 20; i += 1) {
      vi.advanceTimersByTime(60);
      timer.enter("idle", 100);
      expect(vi.getTimerCount()).toBe(1);
    }
    expect(timeouts).toEqual([]);
    vi.advanceTimersByTime(100);
    expect(timeouts).toEqual(["idle"]);
  });

  it("comes forward when a shorter limit begins", () => {
    const { timer, timeouts } = start(10_000);
    timer.enter("first_token", 5_000);
    timer.enter("idle", 50);
    vi.advanceTimersByTime(50);
    expect(timeouts).toEqual(["idle"]);
  });

  it("is silent once cleared, and takes limits beyond what setTimeout can", () => {
    const { timer, timeouts } = start(Number.POSITIVE_INFINITY);
    timer.enter("idle", 2 ** 40);
    vi.advanceTimersByTime(2 ** 32);
    timer.enter("idle", 100);
    timer.clear();
    timer.enter("idle", 1);
    vi.advanceTimersByTime(1_000);
    expect(timeouts).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
