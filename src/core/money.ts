/**
 * Money is a bigint count of picodollars (1e-12 USD). A price of $/1M tokens with up to six decimals is a
 * whole number of picodollars per token, so tokens × price is exact and nothing is ever rounded.
 * Outside the process money is a decimal string of USD with exactly twelve places.
 */
export type PicoUsd = bigint;

/** Picodollars in one US dollar. */
export const PICO_USD_PER_USD = 1_000_000_000_000n;

const USD_PATTERN = /^(-?)(\d{1,12})(?:\.(\d{1,12}))?$/;
const PER_MILLION_PATTERN = /^(\d{1,6})(?:\.(\d{1,6}))?$/;

/** `123450000n` → `"0.000123450000"`. */
export function formatUsd(amountPicoUsd: PicoUsd): string {
  const sign = amountPicoUsd < 0n ? "-" : "";
  const digits = (amountPicoUsd < 0n ? -amountPicoUsd : amountPicoUsd).toString().padStart(13, "0");
  return `${sign}${digits.slice(0, -12)}.${digits.slice(-12)}`;
}

/**
 * `"0.00012345"` → `123450000n`. Takes at most twelve digits before and after the point.
 * @throws RangeError when the text is not such a number.
 */
export function parseUsd(text: string): PicoUsd {
  const match = USD_PATTERN.exec(text);
  if (!match)
    throw new RangeError(`not a decimal amount of USD with at most 12 places: ${JSON.stringify(text)}`);
  const amountPicoUsd = BigInt(match[2] ?? "0") * PICO_USD_PER_USD + BigInt((match[3] ?? "").padEnd(12, "0"));
  return match[1] === "-" ? -amountPicoUsd : amountPicoUsd;
}

/**
 * A price in USD per one million tokens, as a decimal string, to picodollars per token: `"0.15"` → `150000n`.
 * Takes at most six decimals, which is what makes every price a whole number.
 * @throws RangeError when the text is not such a number.
 */
export function parseUsdPerMillionTokens(text: string): PicoUsd {
  const match = PER_MILLION_PATTERN.exec(text);
  if (!match)
    throw new RangeError(`not a USD price per 1M tokens with at most 6 decimals: ${JSON.stringify(text)}`);
  return BigInt(match[1] ?? "0") * 1_000_000n + BigInt((match[2] ?? "").padEnd(6, "0"));
}

/**
 * Picodollars per token to USD per one million tokens: `150000n` → `"0.150000"`.
 * @throws RangeError when the price is negative: there is no such price.
 */
export function formatUsdPerMillionTokens(pricePicoUsdPerToken: PicoUsd): string {
  if (pricePicoUsdPerToken < 0n) throw new RangeError(`not a price: ${pricePicoUsdPerToken}`);
  const digits = pricePicoUsdPerToken.toString().padStart(7, "0");
  return `${digits.slice(0, -6)}.${digits.slice(-6)}`;
}
