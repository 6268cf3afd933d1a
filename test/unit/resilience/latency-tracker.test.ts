import { describe, expect, it } from "vitest";
import { createLatencyTracker } from "../../../src/resilience/latency-tracker.ts";
import { createManualClock } from "../../support/manual-clock.ts";

describe("the recent median", () => {
  it("is not known before the fifth sample", () => {
    const tracker = createLatencyTracker(createManualClock());
    for (const durationMs of [1, 2, 3, 4]) tracker.add(durationMs);
    expect(tracker.medianMs()).toBeUndefined();
    tracker.add(5);
    expect(tracker.medianMs()).toBe(3);
  });

  it("is not moved by one outlier", () => {
    const tracker = createLatencyTracker(createManualClock());
    for (const durationMs of [30, 10, 90_000, 20, 40]) tracker.add(durationMs);
    expect(tracker.medianMs()).toBe(30);
  });

  it("is of the last 32 samples", () => {
    const tracker = createLatencyTracker(createManualClock());
    for (let index = 0; index < 32; index += 1) tracker.add(1_000);
    for (let index = 0; index < 32; index += 1) tracker.add(5);
    expect(tracker.medianMs()).toBe(5);
  });

  it("is of the last minute, so that who was slow gets another chance", () => {
    const clock = createManualClock();
    const tracker = createLatencyTracker(clock);
    for (let index = 0; index < 5; index += 1) tracker.add(1_000);
    clock.advance(60_000);
    expect(tracker.medianMs()).toBe(1_000);
    clock.advance(1);
    expect(tracker.medianMs()).toBeUndefined();
  });
});
