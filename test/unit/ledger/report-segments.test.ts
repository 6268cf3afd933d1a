import { expect, test } from "vitest";
import { divideReport, type Segment, spanOfRollups } from "../../../src/ledger/report-segments.ts";
import { costQuery } from "../../suites/ledger-suite.ts";
import { createRandom } from "../../support/ledger-samples.ts";

const HOUR_MS = 3_600_000;
const at = (text: string): Date => new Date(`${text}Z`);
const NOW = at("2026-11-25T19:26:24.500");

/** Each stretch as `±table from..to`. */
const told = (segments: readonly Segment[]): readonly string[] =>
  segments.map(({ source, sign, start, end }) => {
    const table = source === "records" ? source : source.table.replace("cost_rollup_", "");
    return `${sign === 1 ? "+" : "-"}${table} ${start.toISOString().slice(0, 16)}..${end.toISOString().slice(0, 16)}`;
  });

/** What is left when everything is added up: pairs of an instant and the change of the sum there. */
function net(segments: readonly Segment[]): readonly (readonly [number, number])[] {
  const changes = new Map<number, number>();
  for (const { start, end, sign } of segments) {
    changes.set(start.getTime(), (changes.get(start.getTime()) ?? 0) + sign);
    changes.set(end.getTime(), (changes.get(end.getTime()) ?? 0) - sign);
  }
  return [...changes].filter(([, change]) => change !== 0).toSorted(([a], [b]) => a - b);
}

test("the stretches of a report come to its interval, whatever it is", () => {
  const random = createRandom(3);
  const below = (limit: number): number => Math.floor(random() * limit);
  for (let index = 0; index < 3_000; index++) {
    const unitMs = [1, HOUR_MS, 24 * HOUR_MS][index % 3] ?? 1;
    const start = new Date(Date.UTC(2026, 0) + Math.floor(below(300 * 24 * HOUR_MS) / unitMs) * unitMs);
    const longestMs = [2 * HOUR_MS, 5 * 24 * HOUR_MS, 200 * 24 * HOUR_MS][below(3)] ?? 1;
    const end = new Date(start.getTime() + Math.max(1, Math.floor(below(longestMs) / unitMs)) * unitMs);
    const asOf = random() < 0.3 ? new Date(Date.UTC(2026, 0) + below(330 * 24 * HOUR_MS)) : undefined;
    const groupBy = (["api_key", "month", "day", "hour"] as const).filter(() => random() < 0.3);
    const query = costQuery({ start, end, asOf, groupBy });
    const segments = divideReport(query, asOf ?? NOW);
    const wanted = [
      [start.getTime(), 1],
      [end.getTime(), -1],
    ];
    expect(net(segments), JSON.stringify(query)).toEqual(wanted);
    // The sums alone come to whole hours in one piece, at most half an hour from the ends.
    const span = spanOfRollups(segments);
    const summed = net(segments.filter(({ source }) => source !== "records"));
    expect(summed).toEqual(
      span
        ? [
            [span.start.getTime(), 1],
            [span.end.getTime(), -1],
          ]
        : [],
    );
    const recordsMs = segments
      .filter(({ source }) => source === "records")
      .reduce((sum, segment) => sum + segment.end.getTime() - segment.start.getTime(), 0);
    if (asOf === undefined && end < NOW) expect(recordsMs).toBeLessThanOrEqual(HOUR_MS * 1.5);
  }
});

test("ends are rounded to the nearest month, day and hour, and what is too much is taken off", () => {
  const thirtyDays = costQuery({ start: at("2026-10-26T19:26:24.500"), end: NOW, groupBy: ["api_key"] });
  expect(told(divideReport(thirtyDays, NOW))).toEqual([
    // What is left of this month has not happened yet.
    "+monthly 2026-11-01T00:00..2026-12-01T00:00",
    "+daily 2026-10-27T00:00..2026-11-01T00:00",
    "-daily 2026-11-26T00:00..2026-12-01T00:00",
    "+hourly 2026-10-26T19:00..2026-10-27T00:00",
    "-hourly 2026-11-25T20:00..2026-11-26T00:00",
    "-records 2026-10-26T19:00..2026-10-26T19:26",
    "-records 2026-11-25T19:26..2026-11-25T20:00",
  ]);
  const threeDays = { start: at("2026-10-14T00:00:00"), end: at("2026-10-17T00:00:00") };
  expect(told(divideReport(costQuery({ ...threeDays, groupBy: ["api_key"] }), NOW))).toEqual([
    "+daily 2026-10-14T00:00..2026-10-17T00:00",
  ]);
});

test("what sums do not know is read from the records, and what nobody asks by key from the tables without keys", () => {
  const month = { start: at("2026-10-01T00:00:00"), end: at("2026-11-01T00:00:00") };
  const whole = "2026-10-01T00:00..2026-11-01T00:00";
  const cases: readonly [Parameters<typeof costQuery>[0], string][] = [
    [{ groupBy: ["api_key"] }, "monthly"],
    [{ apiKeyIds: ["k"] }, "monthly"],
    [{ groupBy: ["api_key", "day"] }, "daily"],
    [{ groupBy: ["api_key", "hour"] }, "hourly"],
    [{ groupBy: ["provider", "month"] }, "daily_all_keys"],
    [{ groupBy: ["hour"] }, "hourly_all_keys"],
    [{ groupBy: ["tag"], tagKey: "team" }, "records"],
    [{ endUsers: ["user"] }, "records"],
    [{ groupBy: ["api_key"], asOf: at("2026-09-01T00:00:00") }, "records"],
  ];
  for (const [change, table] of cases) {
    const query = costQuery({ ...month, ...change });
    expect(told(divideReport(query, query.asOf ?? NOW)), JSON.stringify(change)).toEqual([
      `+${table} ${whole}`,
    ]);
  }
});
