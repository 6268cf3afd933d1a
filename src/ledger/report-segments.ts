import type { CostDimension, CostQuery } from "../core/ledger.ts";
import { needsDetail } from "./filter-sql.ts";
import { DAILY, DAILY_ALL_KEYS, HOURLY, HOURLY_ALL_KEYS, MONTHLY, type Rollup } from "./rollups.ts";

/** A half-open interval. */
export interface Interval {
  readonly start: Date;
  readonly end: Date;
}

/** A stretch of time, what it is summed from, and whether that is added or taken off. */
export interface Segment extends Interval {
  readonly source: Rollup | "records";
  readonly sign: 1 | -1;
}

/**
 * Divides a report's interval into stretches that are each summed from the coarsest table that answers exactly. Each end
 * is rounded to the nearest month, and the difference made up in days, then in hours, then from the records; where it
 * was rounded outwards, the difference is taken off. So a report reads half a month of days at each end at most. Records
 * alone know tags and end users.
 *
 * Sums are of now. A report of a past instant uses them up to that instant, less what was recorded later, which is
 * little, and reads the records of the rest.
 * @param asOf the instant that the report stands for
 */
export function divideReport(query: CostQuery, asOf: Date): readonly Segment[] {
  const { start, end } = query;
  const rollups = usableRollups(query);
  // Nothing has happened after now, so there is nothing to read.
  if (query.asOf === undefined) return divide({ start, end }, rollups, createMeasure(asOf));
  if (end <= asOf) return divide({ start, end }, rollups, createMeasure(undefined));
  if (asOf <= start) return [{ source: "records", sign: 1, start, end }];
  return [
    ...divide({ start, end: asOf }, rollups, createMeasure(undefined)),
    { source: "records", sign: 1, start: asOf, end },
  ];
}

function divide({ start, end }: Interval, rollups: readonly Rollup[], measure: Measure): readonly Segment[] {
  const segments: Segment[] = [];
  let covered: Interval | undefined;
  const add = (source: Segment["source"], from: Date, to: Date): void => {
    if (from < to) segments.push({ source, sign: 1, start: from, end: to });
    if (from > to) segments.push({ source, sign: -1, start: to, end: from });
  };
  for (const rollup of rollups) {
    const rounded: Interval = {
      start: nearest(start, rollup.unit, measure),
      end: nearest(end, rollup.unit, measure),
    };
    if (covered) {
      add(rollup, rounded.start, covered.start);
      add(rollup, covered.end, rounded.end);
    } else {
      const left = measure(start, rounded.start) + measure(end, rounded.end);
      if (rounded.start >= rounded.end || left >= measure(start, end)) continue;
      add(rollup, rounded.start, rounded.end);
    }
    covered = rounded;
  }
  if (covered) {
    add("records", start, covered.start);
    add("records", covered.end, end);
  } else add("records", start, end);
  return segments;
}

/** What all rollups of the report come to: adjoining and overlapping ones leave one piece. Undefined when none is read. */
export function spanOfRollups(segments: readonly Segment[]): Interval | undefined {
  const finest = segments.filter(({ source }) => source !== "records");
  const changes = new Map<number, number>();
  for (const { start, end, sign } of finest) {
    changes.set(start.getTime(), (changes.get(start.getTime()) ?? 0) + sign);
    changes.set(end.getTime(), (changes.get(end.getTime()) ?? 0) - sign);
  }
  const bounds = [...changes].filter(([, change]) => change !== 0).map(([instant]) => instant);
  return bounds.length === 0
    ? undefined
    : { start: new Date(Math.min(...bounds)), end: new Date(Math.max(...bounds)) };
}

const DETAIL_DIMENSIONS: readonly CostDimension[] = ["tag", "end_user"];

/** The tables of sums that have what the report asks for, the coarsest first. */
function usableRollups(query: CostQuery): readonly Rollup[] {
  const { groupBy, apiKeyIds } = query;
  if (needsDetail(query) || groupBy.some((by) => DETAIL_DIMENSIONS.includes(by))) return [];
  const allKeys = apiKeyIds.length === 0 && !groupBy.includes("api_key");
  const rollups = allKeys ? [DAILY_ALL_KEYS, HOURLY_ALL_KEYS] : [MONTHLY, DAILY, HOURLY];
  if (groupBy.includes("hour")) return rollups.filter(({ unit }) => unit === "hour");
  return groupBy.includes("day") ? rollups.filter(({ unit }) => unit !== "month") : rollups;
}

/** The whole hours, days or months of an interval; its end is not after its start when there is none. */
export function wholeStretches({ start, end }: Interval, unit: Rollup["unit"]): Interval {
  const before = boundary(start, unit, 0);
  return { start: before < start ? boundary(start, unit, 1) : before, end: boundary(end, unit, 0) };
}

/** How much there is to read between two instants, whichever comes first, in milliseconds. */
type Measure = (one: Date, other: Date) => number;

function createMeasure(emptyFrom: Date | undefined): Measure {
  const limit = emptyFrom?.getTime() ?? Number.POSITIVE_INFINITY;
  return (one, other) => Math.abs(Math.min(one.getTime(), limit) - Math.min(other.getTime(), limit));
}

/** The start of an hour, day or month (UTC) with the least between it and the instant. */
function nearest(instant: Date, unit: Rollup["unit"], measure: Measure): Date {
  const before = boundary(instant, unit, 0);
  if (before.getTime() === instant.getTime()) return before;
  const after = boundary(instant, unit, 1);
  return measure(before, instant) <= measure(instant, after) ? before : after;
}

/** The start of the stretch that the instant lies in, or of a later one. */
function boundary(instant: Date, unit: Rollup["unit"], later: number): Date {
  const [year, month] = [instant.getUTCFullYear(), instant.getUTCMonth()];
  const [day, hour] = [instant.getUTCDate(), instant.getUTCHours()];
  switch (unit) {
    case "month":
      return new Date(Date.UTC(year, month + later));
    case "day":
      return new Date(Date.UTC(year, month, day + later));
    case "hour":
      return new Date(Date.UTC(year, month, day, hour + later));
    default:
      return unit satisfies never;
  }
}
