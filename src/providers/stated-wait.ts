import { clampDelayMs } from "./read-headers.ts";
import { MAX_INSPECTED_LENGTH } from "./safe-text.ts";

/** A duration as Go prints it (`20ms`, `1.5s`, `9m38.016s`, `1h0m0s`), or whole words for seconds. */
const WAIT_PATTERN =
  /\b(?:try again in|retry after) (?:(\d{1,3})h)?(?:(\d{1,3})m)?(\d{1,6}(?:\.\d{1,9})?)(ms|s| seconds?)\b/i;

/**
 * The wait in milliseconds, at most a day, that the words of an error ask for: `Please try again in 1.5s` of OpenAI and
 * Groq, `Please retry after 26 seconds` of Azure (as seen in November 2026). Undefined when they ask for none.
 */
export function readStatedWaitMs(message: string): number | undefined {
  const match = WAIT_PATTERN.exec(message.slice(0, MAX_INSPECTED_LENGTH));
  if (!match) return undefined;
  const [, hours = "0", minutes = "0", amount, unit] = match;
  const longMs = (Number(hours) * 60 + Number(minutes)) * 60_000;
  return clampDelayMs(longMs + Number(amount) * (unit === "ms" ? 1 : 1_000));
}
