import type { PicoUsd } from "../core/money.ts";

/** JavaScript writes a number below 1e-6 or from 1e21 on with an exponent. */
const NUMBER_PATTERN = /^(\d{1,25})(?:\.(\d{1,25}))?(?:e([+-]\d{1,3}))?$/;
const PICO_PLACES = 12;
/** What the column takes: twelve digits before the point and twelve after it. */
const MAX_PICO_USD = 10n ** 24n - 1n;

/**
 * A cost in USD that a provider states as a JSON number (or as decimal text), in picodollars. The shortest decimal
 * text of the number is what the provider wrote, up to 17 digits of it; it is read digit by digit, and no float
 * arithmetic is done with it. Digits below a picodollar, as floats leave them behind, are rounded half up.
 * Undefined for what is no such cost: it stands beside the ledger's own cost, and never fails a call.
 */
export function parseStatedCost(cost: unknown): PicoUsd | undefined {
  if (typeof cost !== "number" && typeof cost !== "string") return undefined;
  const match = NUMBER_PATTERN.exec(String(cost));
  if (!match) return undefined;
  const [, whole = "", fraction = "", exponent = "0"] = match;
  const digits = BigInt(whole + fraction);
  const shift = PICO_PLACES - fraction.length + Number(exponent);
  const picoUsd = shift >= 0 ? digits * 10n ** BigInt(shift) : divideHalfUp(digits, 10n ** BigInt(-shift));
  return picoUsd <= MAX_PICO_USD ? picoUsd : undefined;
}

const divideHalfUp = (value: bigint, divisor: bigint): bigint => (value + divisor / 2n) / divisor;
