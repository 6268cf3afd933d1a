/**
 * Tokens of one attempt, in disjoint buckets:
 * `tokensIn = uncachedTokensIn + cacheReadTokensIn + cacheWriteTokensIn` and
 * `tokensOut = textTokensOut + reasoningTokensOut`.
 * A bucket that the provider did not state is `undefined` and counts as nothing; a stated zero is `0`.
 * Every number is a safe, non-negative integer.
 */
export interface Usage {
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly uncachedTokensIn: number;
  readonly cacheReadTokensIn: number | undefined;
  readonly cacheWriteTokensIn: number | undefined;
  readonly textTokensOut: number;
  readonly reasoningTokensOut: number | undefined;
}

/** Why a provider's usage was not believed. */
export type UsageAnomaly =
  | "NEGATIVE"
  | "NOT_AN_INTEGER"
  | "TOO_LARGE"
  /** Only one of the two totals was stated. */
  | "INCOMPLETE"
  | "CACHE_EXCEEDS_INPUT"
  | "REASONING_EXCEEDS_OUTPUT";

/** The input's part of a usage. */
export type InputUsage = Pick<
  Usage,
  "tokensIn" | "uncachedTokensIn" | "cacheReadTokensIn" | "cacheWriteTokensIn"
>;

/**
 * What a provider's answer says about usage: `reported` (also when zero), `so_far` (stated in the middle of a stream
 * of which more came afterwards), `input_only` (the input was stated early, as in Anthropic's `message_start`, and then
 * nothing final), `absent`, or `invalid`, which is flagged and never believed.
 */
export type UsageReport =
  | StatedUsage<"reported">
  | StatedUsage<"so_far">
  | { readonly kind: "input_only"; readonly input: InputUsage }
  | { readonly kind: "absent" }
  | { readonly kind: "invalid"; readonly anomaly: UsageAnomaly };

/** Tokens that a provider stated, in and out. */
interface StatedUsage<Kind extends string> {
  readonly kind: Kind;
  readonly usage: Usage;
  /** The provider says that it charges more than these tokens, or otherwise: for its own tools, for another tier. */
  readonly chargesBeyondTokens?: true | undefined;
}

/** The most tokens believed of one attempt; real contexts are far below. */
export const MAX_TOKENS_PER_ATTEMPT = 1_000_000_000;

/** The parts of a provider's usage, before they are checked. `undefined` means not stated. */
export interface RawUsage {
  readonly tokensIn: unknown;
  readonly tokensOut: unknown;
  readonly cacheReadTokensIn?: unknown;
  readonly cacheWriteTokensIn?: unknown;
  readonly reasoningTokensOut?: unknown;
}

function findAnomaly(values: readonly unknown[]): UsageAnomaly | undefined {
  for (const value of values) {
    if (value === undefined || value === null) continue;
    if (typeof value !== "number" || !Number.isFinite(value) || !Number.isInteger(value))
      return "NOT_AN_INTEGER";
    if (value < 0) return "NEGATIVE";
    if (value > MAX_TOKENS_PER_ATTEMPT) return "TOO_LARGE";
  }
  return undefined;
}

/** Adding zero turns a JSON `-0` into the zero that it means. */
const stated = (value: unknown): number | undefined => (typeof value === "number" ? value + 0 : undefined);

/** Checks what a provider reported (inclusive totals with subset details) and splits it into disjoint buckets. */
export function parseUsage(raw: RawUsage): UsageReport {
  const anomaly = findAnomaly([
    raw.tokensIn,
    raw.tokensOut,
    raw.cacheReadTokensIn,
    raw.cacheWriteTokensIn,
    raw.reasoningTokensOut,
  ]);
  if (anomaly) return { kind: "invalid", anomaly };
  const tokensIn = stated(raw.tokensIn);
  const tokensOut = stated(raw.tokensOut);
  if (tokensIn === undefined && tokensOut === undefined) return { kind: "absent" };
  if (tokensIn === undefined || tokensOut === undefined) return { kind: "invalid", anomaly: "INCOMPLETE" };

  const cacheReadTokensIn = stated(raw.cacheReadTokensIn);
  const cacheWriteTokensIn = stated(raw.cacheWriteTokensIn);
  const reasoningTokensOut = stated(raw.reasoningTokensOut);
  const uncachedTokensIn = tokensIn - (cacheReadTokensIn ?? 0) - (cacheWriteTokensIn ?? 0);
  if (uncachedTokensIn < 0) return { kind: "invalid", anomaly: "CACHE_EXCEEDS_INPUT" };
  const textTokensOut = tokensOut - (reasoningTokensOut ?? 0);
  if (textTokensOut < 0) return { kind: "invalid", anomaly: "REASONING_EXCEEDS_OUTPUT" };
  return {
    kind: "reported",
    usage: {
      tokensIn,
      tokensOut,
      uncachedTokensIn,
      cacheReadTokensIn,
      cacheWriteTokensIn,
      textTokensOut,
      reasoningTokensOut,
    },
  };
}

/** Usage counted by the gateway itself: no cache is assumed, since none was seen. */
export function estimatedUsage(tokensIn: number, tokensOut: number): Usage {
  const input = {
    tokensIn,
    uncachedTokensIn: tokensIn,
    cacheReadTokensIn: undefined,
    cacheWriteTokensIn: undefined,
  };
  return estimatedOutput(input, tokensOut);
}

/** Usage whose input the provider stated and whose output the gateway counted. */
export function estimatedOutput(
  { tokensIn, uncachedTokensIn, cacheReadTokensIn, cacheWriteTokensIn }: InputUsage,
  tokensOut: number,
): Usage {
  return {
    tokensIn,
    tokensOut,
    uncachedTokensIn,
    cacheReadTokensIn,
    cacheWriteTokensIn,
    textTokensOut: tokensOut,
    reasoningTokensOut: undefined,
  };
}

/** A usage stated in the middle of a stream, when so many tokens were counted by its end: the text is the rest. */
export function raisedOutput(soFar: Usage, countedTokensOut: number): Usage {
  if (countedTokensOut <= soFar.tokensOut) return soFar;
  const textTokensOut = countedTokensOut - (soFar.reasoningTokensOut ?? 0);
  return { ...soFar, tokensOut: countedTokensOut, textTokensOut };
}
