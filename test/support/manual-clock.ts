import type { Clock } from "../../src/core/clock.ts";

/** A clock that stands still until it is told to move. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
  /** Moves the wall clock alone, as an operator or NTP does. */
  setWall(ms: number): void;
}

export function createManualClock(start = new Date("2026-11-23T12:00:00.000Z")): ManualClock {
  let wallMs = start.getTime();
  let monotonicMs = 1_000;
  return {
    now: () => new Date(wallMs),
    monotonicMs: () => monotonicMs,
    advance(ms) {
      wallMs += ms;
      monotonicMs += ms;
    },
    setWall(ms) {
      wallMs = ms;
    },
  };
}
