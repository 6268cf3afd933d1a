import type { IncomingHttpHeaders } from "node:http";

/** A provider that asks for a longer wait than a day is not obeyed to the letter. */
const MAX_RETRY_AFTER_MS = 86_400_000;

const MAX_REQUEST_ID_LENGTH = 128;

/** `retry-after-ms`, which wins, or `retry-after` in seconds or as an HTTP date; undefined when neither is usable. */
export function readRetryAfterMs(
  headers: IncomingHttpHeaders,
  nowMs: number = Date.now(),
): number | undefined {
  const precise = readDelayMs(single(headers["retry-after-ms"]), 1);
  if (precise !== undefined) return precise;
  const retryAfter = single(headers["retry-after"]);
  const seconds = readDelayMs(retryAfter, 1_000);
  if (seconds !== undefined || retryAfter === undefined) return seconds;
  const dateMs = /[a-z]/i.test(retryAfter) ? Date.parse(retryAfter) : Number.NaN;
  return Number.isNaN(dateMs) ? undefined : clampDelayMs(dateMs - nowMs);
}

/** The provider's id of the call: printable ASCII, at most 128 characters. */
export function readRequestId(headers: IncomingHttpHeaders, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = single(headers[name]);
    if (value !== undefined && /^[\x21-\x7e]+$/.test(value)) return value.slice(0, MAX_REQUEST_ID_LENGTH);
  }
  return undefined;
}

function readDelayMs(value: string | undefined, unitMs: number): number | undefined {
  if (value === undefined || !/^\d+(\.\d+)?$/.test(value)) return undefined;
  return clampDelayMs(Number(value) * unitMs);
}

/** Whole milliseconds, from none to a day. */
export function clampDelayMs(delayMs: number): number {
  return Math.ceil(Math.min(Math.max(delayMs, 0), MAX_RETRY_AFTER_MS));
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
