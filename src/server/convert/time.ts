import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

/** The first and last instants that a Timestamp may name: years 1 to 9999. */
const MIN_SECONDS = -62_135_596_800n;
const MAX_SECONDS = 253_402_300_799n;

/** A Date as a Timestamp. */
export function timestampFromDate(date: Date): Timestamp {
  const epochMs = date.getTime();
  const seconds = Math.floor(epochMs / 1000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: (epochMs - seconds * 1000) * 1_000_000,
  };
}

/** An optional Date as an optional Timestamp. */
export function timestampFromOptionalDate(date: Date | undefined): Timestamp | undefined {
  return date === undefined ? undefined : timestampFromDate(date);
}

/**
 * A Timestamp as a Date. What is finer than a millisecond is rounded up, so that a `start` or `end` in the
 * middle of a millisecond does not take in what lies before it: records are stored with milliseconds.
 * Undefined when it is out of range.
 */
export function dateFromTimestamp(timestamp: Timestamp): Date | undefined {
  const { seconds, nanos } = timestamp;
  if (seconds < MIN_SECONDS || seconds > MAX_SECONDS || nanos < 0 || nanos > 999_999_999) return undefined;
  return new Date(Number(seconds) * 1000 + Math.ceil(nanos / 1_000_000));
}

/** Milliseconds, also fractional ones and negative never, as a Duration. */
export function durationFromMs(milliseconds: number): Duration {
  const safe = Number.isFinite(milliseconds) && milliseconds > 0 ? milliseconds : 0;
  const seconds = Math.floor(safe / 1000);
  return {
    $typeName: "google.protobuf.Duration",
    seconds: BigInt(seconds),
    nanos: Math.min(999_999_999, Math.round((safe - seconds * 1000) * 1_000_000)),
  };
}

/** A Duration in milliseconds. */
export function msFromDuration(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
}
