/**
 * The simulator's own price list: USD per one million tokens as decimal strings with at most six decimals, so
 * that a token costs a whole number of picodollars (1e-12 USD). Tests may feed the same strings to the gateway as
 * the operator's prices. The prices are flat: no tiers, no time of day.
 */
export interface ListPrice {
  readonly personality: string;
  readonly model: string;
  /** Input that was neither read from a cache nor written to one. */
  readonly inputUsdPerMillion: string;
  readonly cachedInputUsdPerMillion: string;
  readonly cacheWriteInputUsdPerMillion: string;
  /** Output, reasoning included. */
  readonly outputUsdPerMillion: string;
}

/** Token counts as they are billed: `cachedTokensIn` and `cacheWriteTokensIn` are parts of `tokensIn`. */
export interface BilledTokens {
  readonly tokensIn: number;
  readonly cachedTokensIn: number;
  readonly cacheWriteTokensIn: number;
  readonly tokensOut: number;
}

type PriceRow = readonly [
  personality: string,
  model: string,
  input: string,
  cachedInput: string,
  cacheWriteInput: string,
  output: string,
];

/** Made-up models use all six decimals, so that a rounding anywhere shows in the sums. */
const ROWS: readonly PriceRow[] = [
  ["openai", "gpt-5-mini", "0.25", "0.025", "0.25", "2"],
  ["openai", "gpt-5-nano", "0.05", "0.005", "0.05", "0.4"],
  ["openai", "gpt-5.4-mini", "0.75", "0.075", "0.75", "4.5"],
  ["openai", "demo-model", "0.123457", "0.012347", "0.154321", "0.987653"],
  ["openai", "sim-model", "1.000001", "0.100003", "1.250007", "4.000009"],
  ["openai", "text-embedding-3-small", "0.02", "0.02", "0.02", "0"],
  ["openai", "sim-embedding", "0.123457", "0.123457", "0.123457", "0"],
  ["openai", "other-embedding", "0.234561", "0.234561", "0.234561", "0"],
  ["deepseek", "deepseek-flash", "0.15", "0.003", "0.15", "0.6"],
  ["deepseek", "deepseek-v4-pro", "0.66", "0.022", "0.66", "1.98"],
  ["deepseek", "demo-model", "0.098765", "0.009877", "0.098765", "0.543211"],
  ["deepseek", "sim-model", "0.500003", "0.050001", "0.500003", "1.500007"],
  ["huggingface", "meta-llama/Llama-3.3-70B-Instruct:groq", "0.59", "0.59", "0.59", "0.79"],
  ["huggingface", "demo-org/demo-model:demo", "0.333333", "0.333333", "0.333333", "0.777777"],
  ["huggingface", "sim-org/sim-model:sim", "0.700001", "0.700001", "0.700001", "0.900007"],
  ["anthropic", "claude-sonnet-4-5", "3", "0.3", "3.75", "15"],
  ["anthropic", "sim-model", "3.000001", "0.300003", "3.750007", "15.000011"],
  ["gemini", "gemini-2.5-flash", "0.3", "0.03", "0.3", "2.5"],
  ["gemini", "sim-model", "0.300007", "0.030001", "0.300007", "2.500003"],
  ["gemini", "sim-embedding", "0.150007", "0.150007", "0.150007", "0"],
];

export const LIST_PRICES: readonly ListPrice[] = ROWS.map(
  ([personality, model, input, cachedInput, cacheWriteInput, output]) => ({
    personality,
    model,
    inputUsdPerMillion: input,
    cachedInputUsdPerMillion: cachedInput,
    cacheWriteInputUsdPerMillion: cacheWriteInput,
    outputUsdPerMillion: output,
  }),
);

interface PicoUsdPerToken {
  readonly input: bigint;
  readonly cachedInput: bigint;
  readonly cacheWriteInput: bigint;
  readonly output: bigint;
}

/** `"0.15"` USD per 1M tokens is 150,000 picodollars per token. */
function picoUsdPerToken(usdPerMillion: string): bigint {
  if (!/^\d+(\.\d{1,6})?$/.test(usdPerMillion)) throw new RangeError(`not a list price: ${usdPerMillion}`);
  const [whole = "0", fraction = ""] = usdPerMillion.split(".");
  return BigInt(whole + fraction.padEnd(6, "0"));
}

const PRICE_BY_MODEL: ReadonlyMap<string, PicoUsdPerToken> = new Map(
  LIST_PRICES.map((price) => [
    `${price.personality} ${price.model}`,
    {
      input: picoUsdPerToken(price.inputUsdPerMillion),
      cachedInput: picoUsdPerToken(price.cachedInputUsdPerMillion),
      cacheWriteInput: picoUsdPerToken(price.cacheWriteInputUsdPerMillion),
      output: picoUsdPerToken(price.outputUsdPerMillion),
    },
  ]),
);

/** What the tokens cost in picodollars, exactly; `undefined` for a model that is not on the list. */
export function costPicoUsd(personality: string, model: string, tokens: BilledTokens): bigint | undefined {
  const price = PRICE_BY_MODEL.get(`${personality} ${model}`);
  if (!price) return undefined;
  const plainTokensIn =
    BigInt(tokens.tokensIn) - BigInt(tokens.cachedTokensIn) - BigInt(tokens.cacheWriteTokensIn);
  return (
    plainTokensIn * price.input +
    BigInt(tokens.cachedTokensIn) * price.cachedInput +
    BigInt(tokens.cacheWriteTokensIn) * price.cacheWriteInput +
    BigInt(tokens.tokensOut) * price.output
  );
}
