const MINUTES_PER_DAY = 1_440;
const MINUTES_PER_WEEK = 10_080;
/** 1970-01-01 was a Thursday: the Unix epoch lies this many minutes after a Monday 00:00 UTC. */
const EPOCH_MINUTE_OF_WEEK = 3 * MINUTES_PER_DAY;

/** Monday first, as ISO 8601 counts. */
export const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** A daily window in minutes after 00:00 UTC, half-open. An end at or before the start lies on the next day. */
export interface DailyWindow {
  readonly startMinute: number;
  readonly endMinute: number;
}

/** The recurring hours of the week at which a price holds, in UTC. */
export interface Schedule {
  /** Half-open, in minutes of the week from Monday 00:00 UTC. */
  readonly intervals: readonly { readonly from: number; readonly to: number }[];
  /** For people: `Mon-Fri 01:00-04:00, 06:00-10:00 UTC`, with `except ` before it for the rest of the week. */
  readonly text: string;
}

export interface ScheduleOptions {
  readonly windows: readonly DailyWindow[];
  /** UTC days on which the windows begin. Default: every day. */
  readonly days?: readonly Weekday[];
  /** True turns the schedule round: it holds whenever no window does. Default: false. */
  readonly outside?: boolean;
}

/** @throws RangeError when a minute is outside of the day or a window is empty. */
export function createSchedule(options: ScheduleOptions): Schedule {
  const days = WEEKDAYS.filter((day) => (options.days ?? WEEKDAYS).includes(day));
  const inside = days.flatMap((day) => options.windows.flatMap((window) => toIntervals(day, window)));
  const dayText = days.length === WEEKDAYS.length ? "" : `${formatDays(days)} `;
  const windowText = options.windows.map(
    (w) => `${formatMinute(w.startMinute)}-${formatMinute(w.endMinute)}`,
  );
  const text = `${dayText}${windowText.join(", ")} UTC`;
  return options.outside
    ? { intervals: complement(inside), text: `except ${text}` }
    : { intervals: inside, text };
}

/** Does the schedule hold at this instant (milliseconds since the epoch)? Without a schedule: always. */
export function isScheduled(schedule: Schedule | undefined, atMs: number): boolean {
  if (!schedule) return true;
  const minute = Math.floor(atMs / 60_000) + EPOCH_MINUTE_OF_WEEK;
  const minuteOfWeek = ((minute % MINUTES_PER_WEEK) + MINUTES_PER_WEEK) % MINUTES_PER_WEEK;
  return schedule.intervals.some(({ from, to }) => minuteOfWeek >= from && minuteOfWeek < to);
}

/** Is there a minute of the week at which both hold? */
export function schedulesOverlap(one: Schedule | undefined, other: Schedule | undefined): boolean {
  if (!one || !other) return true;
  return one.intervals.some((a) => other.intervals.some((b) => a.from < b.to && b.from < a.to));
}

function toIntervals(day: Weekday, { startMinute, endMinute }: DailyWindow): { from: number; to: number }[] {
  for (const minute of [startMinute, endMinute]) {
    if (!Number.isInteger(minute) || minute < 0 || minute > MINUTES_PER_DAY) {
      throw new RangeError(`not a minute of the day: ${minute}`);
    }
  }
  if (startMinute === endMinute) throw new RangeError("a daily window must not be empty");
  const from = WEEKDAYS.indexOf(day) * MINUTES_PER_DAY + startMinute;
  const to = from + ((endMinute - startMinute + MINUTES_PER_DAY) % MINUTES_PER_DAY || MINUTES_PER_DAY);
  if (to <= MINUTES_PER_WEEK) return [{ from, to }];
  return [
    { from, to: MINUTES_PER_WEEK },
    { from: 0, to: to - MINUTES_PER_WEEK },
  ];
}

function complement(intervals: readonly { from: number; to: number }[]): { from: number; to: number }[] {
  const gaps: { from: number; to: number }[] = [];
  let covered = 0;
  for (const { from, to } of intervals.toSorted((a, b) => a.from - b.from)) {
    if (from > covered) gaps.push({ from: covered, to: from });
    covered = Math.max(covered, to);
  }
  if (covered < MINUTES_PER_WEEK) gaps.push({ from: covered, to: MINUTES_PER_WEEK });
  return gaps;
}

function formatDays(days: readonly Weekday[]): string {
  const names = days.map((day) => day.charAt(0).toUpperCase() + day.slice(1));
  const first = days[0] === undefined ? 0 : WEEKDAYS.indexOf(days[0]);
  const consecutive = days.every((day, index) => WEEKDAYS.indexOf(day) === first + index);
  return consecutive && names.length > 2 ? `${names[0]}-${names.at(-1)}` : names.join(",");
}

function formatMinute(minute: number): string {
  const hours = Math.floor(minute / 60);
  return `${String(hours).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}
