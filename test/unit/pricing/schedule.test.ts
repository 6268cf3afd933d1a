import { describe, expect, test } from "vitest";
import { createSchedule, isScheduled, schedulesOverlap } from "../../../src/pricing/schedule.ts";

const at = (text: string): number => Date.parse(text);

describe("a schedule", () => {
  const officeHours = createSchedule({
    windows: [
      { startMinute: 60, endMinute: 240 },
      { startMinute: 360, endMinute: 600 },
    ],
    days: ["mon", "tue", "wed", "thu", "fri"],
  });

  // 2026-11-23 is a Monday.
  test.each([
    ["2026-11-23T00:59:59.999Z", false],
    ["2026-11-23T01:00:00Z", true],
    ["2026-11-23T03:59:59.999Z", true],
    ["2026-11-23T04:00:00Z", false],
    ["2026-11-27T09:59:59Z", true],
    ["2026-11-28T02:00:00Z", false],
    ["2026-11-22T02:00:00Z", false],
    ["1969-12-31T02:00:00Z", true],
  ])("holds or not at %s: %s", (instant, holds) => {
    expect(isScheduled(officeHours, at(instant))).toBe(holds);
  });

  test("and its outside hold in turn at every minute of a week", () => {
    const rest = createSchedule({
      windows: [
        { startMinute: 60, endMinute: 240 },
        { startMinute: 360, endMinute: 600 },
      ],
      days: ["mon", "tue", "wed", "thu", "fri"],
      outside: true,
    });
    for (let minute = 0; minute < 10_080; minute += 1) {
      const instant = at("2026-11-18T00:00:00Z") + minute * 60_000;
      expect(isScheduled(rest, instant)).toBe(!isScheduled(officeHours, instant));
    }
    expect(schedulesOverlap(officeHours, rest)).toBe(false);
    expect(officeHours.text).toBe("Mon-Fri 01:00-04:00, 06:00-10:00 UTC");
    expect(rest.text).toBe("except Mon-Fri 01:00-04:00, 06:00-10:00 UTC");
  });

  test("may pass midnight and the end of the week", () => {
    const night = createSchedule({ windows: [{ startMinute: 22 * 60, endMinute: 120 }], days: ["sun"] });
    expect(isScheduled(night, at("2026-11-22T22:00:00Z"))).toBe(true);
    expect(isScheduled(night, at("2026-11-23T01:59:00Z"))).toBe(true);
    expect(isScheduled(night, at("2026-11-23T02:00:00Z"))).toBe(false);
    expect(isScheduled(night, at("2026-11-23T23:00:00Z"))).toBe(false);
    expect(night.text).toBe("Sun 22:00-02:00 UTC");
  });

  test("may be whole days", () => {
    const weekend = createSchedule({ windows: [{ startMinute: 0, endMinute: 1_440 }], days: ["sun", "sat"] });
    expect(isScheduled(weekend, at("2026-11-21T00:00:00Z"))).toBe(true);
    expect(isScheduled(weekend, at("2026-11-22T23:59:59Z"))).toBe(true);
    expect(isScheduled(weekend, at("2026-11-23T00:00:00Z"))).toBe(false);
    expect(weekend.text).toBe("Sat,Sun 00:00-24:00 UTC");
  });

  test("is refused when it is empty or outside of the day", () => {
    expect(() => createSchedule({ windows: [{ startMinute: 60, endMinute: 60 }] })).toThrow(RangeError);
    expect(() => createSchedule({ windows: [{ startMinute: 0, endMinute: 1_441 }] })).toThrow(RangeError);
    expect(() => createSchedule({ windows: [{ startMinute: 0.5, endMinute: 10 }] })).toThrow(RangeError);
  });
});
