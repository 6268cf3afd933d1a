const EXAMPLE = "2026-11-26T05:00:00.000Z";
const UP_TO_SECOND = "2026-11-26T05:00:00.".length;
const MILLISECONDS = Array.from({ length: 1_000 }, (_, ms) => `${String(ms).padStart(3, "0")}Z`);

let lastSecond = Number.NaN;
let textOfSecond = "";

/**
 * What `toISOString` says, for the instants of calls: most lie in the same second as the one before, whose text is kept.
 * @throws RangeError for an invalid date
 */
export function toInstantText(date: Date): string {
  const epochMs = date.getTime();
  const second = Math.floor(epochMs / 1_000);
  if (second !== lastSecond) {
    const text = date.toISOString();
    // Years of more digits than four have a sign before them.
    if (text.length !== EXAMPLE.length) return text;
    lastSecond = second;
    textOfSecond = text.slice(0, UP_TO_SECOND);
  }
  return textOfSecond + MILLISECONDS[epochMs - second * 1_000];
}
