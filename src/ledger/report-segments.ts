import type { CostDimension, CostQuery } from "../core/ledger.ts";
import { needsDetail } from "./filter-sql.ts";
import { DAILY, DAILY_ALL_KEYS, HOURLY, HOURLY_ALL_KEYS, MONTHLY, type Rollup } from "./rollups.ts";

/** A half-open interval. */
export interface Interval {
  readonly start: Date;
  readonly end: Date;
}

/** A part of a report's interval, and what it is summed from. */
export interface Segment extends Interval {
  readonly source: Rollup | "records";
}

/**
 * Divides a report's interval, without gaps, into parts that are each summed from the coarsest table that answers
 * exactly: whole months, at their ends whole days, then whole hours, and what is left from the records. Records alone
 * know tags and end users.
 *
 * A rollup is of now. A report of a past instant takes from it the stretches that had ended by then, of which little
 * was recorded later (that is taken off again), and reads the records of the rest.
 */
export function divideReport(query: CostQuery): readonly Segment[] {
  const { start, end, asOf } = query;
  const rollups = usableRollups(query);
  if (asOf === undefined || end <= asOf) return divide({ start, end }, rollups);
  if (asOf <= start) return [{ source: "records", start, end }];
  return [...divide({ start, end: asOf }, rollups), { source: "records", start: asOf, end }];
}

/** What rollups are read for, in one piece: finer ones adjoin coarser ones. Undefined when none is read. */
export function spanOfRollups(segments: readonly Segment[]): Interval | undefined {
  const summed = segments.filter(({ source }) => source !== "records");
  const [first, last] = [summed.at(0), summed.at(-1)];
  return first && last && { start: first.start, end: last.end };
}

function divide({ start, end }: Interval, rollups: readonly Rollup[]): readonly Segment[] {
  if (start >= end) return [];
  const [coarsest, ...finer] = rollups;
  if (!coarsest) return [{ source: "records", start, end }];
  const whole = wholeStretches({ start, end }, coarsest.unit);
  if (whole.start >= whole.end) return divide({ start, end }, finer);
  return [
    ...divide({ start, end: whole.start }, finer),
    { source: coarsest, ...whole },
    ...divide({ start: whole.end, end }, finer),
  ];
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

/** The whole hours, days or months of an interval; empty, with its end not after its start, when there is none. */
export function wholeStretches({ start, end }: Interval, unit: Rollup["unit"]): Interval {
  return { start: ceiling(start, unit), end: floor(end, unit) };
}

/** The start of the hour, day or month (UTC) that the instant lies in. */
function floor(instant: Date, unit: Rollup["unit"]): Date {
  return stretch(instant, unit, 0);
}

function ceiling(instant: Date, unit: Rollup["unit"]): Date {
  const before = floor(instant, unit);
  return before < instant ? stretch(instant, unit, 1) : before;
}

function stretch(instant: Date, unit: Rollup["unit"], later: number): Date {
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
