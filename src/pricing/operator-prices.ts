import * as z from "zod";
import { parseUsdPerMillionTokens } from "../core/money.ts";
import type { UnitPrices } from "../core/price.ts";
import {
  createPriceVersion,
  modelKey,
  type PriceVersion,
  toUnitPrices,
  versionsOverlap,
} from "./price-version.ts";
import { createSchedule, WEEKDAYS } from "./schedule.ts";

/** One mistake in the operator's prices. */
export interface PriceIssue {
  /** From the list down, e.g. `[2, "tiers", 0, "input"]`. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export type OperatorPricesResult =
  | { readonly ok: true; readonly versions: readonly PriceVersion[] }
  | { readonly ok: false; readonly issues: readonly PriceIssue[] };

/** Prices given in code that are wrong: carries every mistake. */
export class OperatorPricesError extends Error {
  override readonly name = "OperatorPricesError";
  readonly issues: readonly PriceIssue[];

  constructor(issues: readonly PriceIssue[]) {
    super(issues.map(({ path, message }) => `prices[${path.join(".")}]: ${message}`).join("; "));
    this.issues = issues;
  }
}

/**
 * USD per 1M tokens, as a decimal string or as a number of YAML, of which the shortest decimal text counts. At most
 * six decimals, so that a token costs a whole number of picodollars.
 */
const usdPerMillionTokens = z.union([z.string(), z.number()]).transform((value, context) => {
  try {
    return parseUsdPerMillionTokens(String(value));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    context.addIssue({ code: "custom", message: error.message });
    return z.NEVER;
  }
});

/** RFC 3339 with a zone, or a date, which means 00:00 UTC. */
const instant = z
  .union([z.date(), z.iso.datetime({ offset: true }), z.iso.date()], {
    error: "expected an instant such as 2026-12-01T00:00:00Z, or a date",
  })
  .transform((value) => new Date(value));

/** `HH:MM` of UTC, to minutes; 24:00 is the end of a day. */
const utcTime = z
  .string()
  .regex(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/, "expected a time of UTC such as 06:00")
  .transform((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3)));

const bucketShape = {
  input: usdPerMillionTokens,
  output: usdPerMillionTokens,
  /** Default: the input price of the same tier. */
  cache_read: usdPerMillionTokens.optional(),
  /** Default: the input price of the same tier. */
  cache_write: usdPerMillionTokens.optional(),
  /** Default: the output price of the same tier. */
  reasoning: usdPerMillionTokens.optional(),
};

const tiersSchema = z
  .array(z.strictObject({ above_tokens_in: z.int().nonnegative(), ...bucketShape }))
  .superRefine((tiers, context) => {
    tiers.forEach((tier, index) => {
      if (tiers.findIndex((other) => other.above_tokens_in === tier.above_tokens_in) === index) return;
      context.addIssue({
        code: "custom",
        path: [index, "above_tokens_in"],
        message: "a second tier with this start",
      });
    });
  });

const windowSchema = z
  .strictObject({
    utc_start: utcTime,
    /** At or before the start means: on the next day. */
    utc_end: utcTime,
    /** UTC days on which the window begins. Default: every day. */
    days: z.array(z.enum(WEEKDAYS)).nonempty().optional(),
  })
  .refine((window) => window.utc_start !== window.utc_end, {
    message: "the window is empty",
    path: ["utc_end"],
  });

/** One price of one model: what the operator writes in the list of price overrides. */
export const operatorPriceSchema = z.strictObject({
  provider: z.string().min(1),
  /** The provider's own name of the model; for HuggingFace with the pinned partner, `org/name:partner`. */
  model: z.string().min(1),
  ...bucketShape,
  /** Prices that hold for a whole attempt whose input exceeds `above_tokens_in`; the highest counts. */
  tiers: tiersSchema.optional(),
  /** Inclusive. Default: since ever. */
  valid_from: instant.optional(),
  /** Exclusive. Default: until further notice. */
  valid_to: instant.optional(),
  /** The hours at which the price holds. Default: always. Outside of them the next best source is asked. */
  window: windowSchema.optional(),
});

export type OperatorPriceInput = z.input<typeof operatorPriceSchema>;
type OperatorPrice = z.output<typeof operatorPriceSchema>;

/**
 * Checks a list of price overrides (as parsed from YAML) and answers either all versions or all mistakes.
 * Two prices of one model that could be in force at one instant are a mistake.
 */
export function parseOperatorPrices(value: unknown, source = "operator"): OperatorPricesResult {
  if (!Array.isArray(value))
    return { ok: false, issues: [{ path: [], message: "expected a list of prices" }] };
  const issues: PriceIssue[] = [];
  const found: { readonly index: number; readonly version: PriceVersion }[] = [];
  value.forEach((entry: unknown, index) => {
    const parsed = operatorPriceSchema.safeParse(entry);
    if (!parsed.success) {
      issues.push(...parsed.error.issues.map((issue) => toPriceIssue(index, issue)));
      return;
    }
    const { valid_from: from, valid_to: to } = parsed.data;
    if (from && to && from >= to) {
      issues.push({ path: [index, "valid_to"], message: "must be later than valid_from" });
      return;
    }
    const version = toPriceVersion(parsed.data, source);
    const rival = found.find(
      (other) =>
        modelKey(other.version.price) === modelKey(version.price) && versionsOverlap(other.version, version),
    );
    if (rival) {
      issues.push({
        path: [index],
        message: `overlaps with the price at [${rival.index}] of the same model`,
      });
    }
    found.push({ index, version });
  });
  return issues.length > 0
    ? { ok: false, issues }
    : { ok: true, versions: found.map(({ version }) => version) };
}

/**
 * Prices written in code, for instance those of the provider simulator. `source` is what records show.
 * @throws OperatorPricesError with every mistake
 */
export function operatorPrices(
  prices: readonly OperatorPriceInput[],
  source = "operator",
): readonly PriceVersion[] {
  const result = parseOperatorPrices(prices, source);
  if (!result.ok) throw new OperatorPricesError(result.issues);
  return result.versions;
}

function toPriceIssue(index: number, issue: z.core.$ZodIssue): PriceIssue {
  // YAML and JSON have no symbols as keys.
  const path = issue.path.filter((step) => typeof step !== "symbol");
  return { path: [index, ...path], message: issue.message };
}

function toPriceVersion(price: OperatorPrice, source: string): PriceVersion {
  const { window } = price;
  return createPriceVersion({
    provider: price.provider,
    model: price.model,
    unitPrices: parseBuckets(price),
    tiers: (price.tiers ?? []).map((tier) => ({
      aboveTokensIn: tier.above_tokens_in,
      unitPrices: parseBuckets(tier),
    })),
    source,
    validFrom: price.valid_from,
    validTo: price.valid_to,
    schedule:
      window &&
      createSchedule({
        windows: [{ startMinute: window.utc_start, endMinute: window.utc_end }],
        ...(window.days && { days: window.days }),
      }),
  });
}

function parseBuckets(
  price: Omit<NonNullable<OperatorPrice["tiers"]>[number], "above_tokens_in">,
): UnitPrices {
  return toUnitPrices({
    inputPicoUsdPerToken: price.input,
    outputPicoUsdPerToken: price.output,
    cacheReadPicoUsdPerToken: price.cache_read,
    cacheWritePicoUsdPerToken: price.cache_write,
    reasoningPicoUsdPerToken: price.reasoning,
  });
}
