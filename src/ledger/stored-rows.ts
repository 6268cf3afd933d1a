import { toInstantText } from "../core/instant.ts";
import type { AttemptIntent, AttemptOutcome, BillingState, RequestLogEntry } from "../core/ledger.ts";
import { formatUsd, formatUsdPerMillionTokens, type PicoUsd } from "../core/money.ts";
import type { Price, UnitPrices } from "../core/price.ts";

/** Names that are indexed are cut to this, since an index entry has a limit of its own (2,704 bytes). */
const MAX_INDEXED_LENGTH = 256;
const UUID_PATTERN = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/**
 * Whether an attempt's record could be stored at all; asked before money is spent.
 * @throws RangeError
 */
export function assertStorable(intent: AttemptIntent): void {
  if (!UUID_PATTERN.test(intent.attemptId))
    throw new RangeError(`not a lower-case UUID: ${intent.attemptId}`);
  assertOrdinaryDate(intent.occurredAt);
}

/** The row of `cost_record`, as JSON text. @throws RangeError when it could not be stored */
export function chargeToJson(outcome: AttemptOutcome): string {
  const { intent, usage, unitPrices } = outcome;
  assertStorable(intent);
  const json = toStorableJson({
    occurred_at: toInstantText(intent.occurredAt),
    record_id: intent.attemptId,
    attempt_id: intent.attemptId,
    request_id: indexed(intent.requestId),
    ordinal: intent.ordinal,
    kind: "charge",
    api_key_id: indexed(intent.apiKeyId),
    provider: indexed(intent.provider),
    model: indexed(intent.model),
    response_model: outcome.responseModel,
    outcome: outcome.outcome,
    error_reason: outcome.errorReason,
    tokens_in: tokens(usage?.tokensIn),
    tokens_out: tokens(usage?.tokensOut),
    uncached_tokens_in: tokens(usage?.uncachedTokensIn),
    cache_read_tokens_in: tokens(usage?.cacheReadTokensIn),
    cache_write_tokens_in: tokens(usage?.cacheWriteTokensIn),
    text_tokens_out: tokens(usage?.textTokensOut),
    reasoning_tokens_out: tokens(usage?.reasoningTokensOut),
    usage_source: outcome.usageSource,
    ...costToRow(outcome, intent.price?.priceId),
    provider_cost_usd:
      outcome.providerCostPicoUsd === undefined ? undefined : formatUsd(outcome.providerCostPicoUsd),
    tags: intent.tags,
    end_user: intent.endUser,
    streamed: intent.streamed,
    latency_ms: milliseconds(outcome.latencyMs),
    time_to_first_token_ms:
      outcome.timeToFirstTokenMs === undefined ? undefined : milliseconds(outcome.timeToFirstTokenMs),
    provider_request_id: outcome.providerRequestId,
  });
  return unitPrices ? json.slice(0, -1) + unitPriceMembers(unitPrices) : json;
}

const knownMembers = new WeakMap<UnitPrices, string>();

/** The columns of unit prices as the last members of an object, which are the same for all attempts of a price. */
function unitPriceMembers(unitPrices: UnitPrices): string {
  let members = knownMembers.get(unitPrices);
  if (members === undefined) {
    members = `,${JSON.stringify(unitPricesToRow(unitPrices)).slice(1)}`;
    knownMembers.set(unitPrices, members);
  }
  return members;
}

interface Pricing {
  readonly billingState: BillingState;
  readonly costPicoUsd: PicoUsd | undefined;
  readonly unitPrices: UnitPrices | undefined;
  readonly flags: readonly string[];
}

/** The columns of `cost_record` that a price decides. */
export function pricingToRow(
  pricing: Pricing,
  priceId: string | undefined,
): Readonly<Record<string, unknown>> {
  const { unitPrices } = pricing;
  return { ...costToRow(pricing, priceId), ...(unitPrices && unitPricesToRow(unitPrices)) };
}

/** The same without the unit prices. */
const costToRow = (
  { billingState, costPicoUsd, flags }: Omit<Pricing, "unitPrices">,
  priceId: string | undefined,
) => ({
  billing_state: billingState,
  cost_usd: costPicoUsd === undefined ? undefined : formatUsd(costPicoUsd),
  price_id: priceId,
  flags,
});

/** The row of `request_log`, as JSON text. @throws RangeError when it could not be stored */
export function requestToJson(requestLogId: string, entry: RequestLogEntry): string {
  assertOrdinaryDate(entry.occurredAt);
  return toStorableJson({
    occurred_at: toInstantText(entry.occurredAt),
    request_log_id: requestLogId,
    request_id: indexed(entry.requestId),
    api_key_id: indexed(entry.apiKeyId),
    method: entry.method,
    requested_model: entry.requestedModel,
    provider: entry.provider === undefined ? undefined : indexed(entry.provider),
    model: entry.model === undefined ? undefined : indexed(entry.model),
    status: entry.status,
    error_reason: entry.errorReason,
    attempts: entry.attempts,
    fell_back: entry.fellBack,
    latency_ms: milliseconds(entry.latencyMs),
    trace_id: entry.traceId,
    tags: entry.tags,
    end_user: entry.endUser,
  });
}

const OCCURRED_AT = '"occurred_at":"';

/**
 * The month (`2026-11`) that a row of `cost_record` or `request_log` belongs to; undefined for what is no such row.
 * The column comes first. In rows of earlier builds it came after the tags, and within a JSON string the quotes would be
 * escaped, so that it is the last of its name.
 */
export function monthOf(json: string): string | undefined {
  const at = json.startsWith(OCCURRED_AT, 1) ? 1 : json.lastIndexOf(OCCURRED_AT);
  if (at < 0) return undefined;
  const month = json.slice(at + OCCURRED_AT.length, at + OCCURRED_AT.length + 7);
  return /^\d{4}-\d\d$/.test(month) ? month : undefined;
}

/** The row of `price`, as JSON text. */
export function priceToJson(price: Price): string {
  return toStorableJson({
    price_id: price.priceId,
    provider: price.provider,
    model: price.model,
    ...unitPricesToRow(price.unitPrices),
    tiers: price.tiers.map((tier) => ({
      above_tokens_in: tier.aboveTokensIn,
      ...unitPricesToRow(tier.unitPrices),
    })),
    source: price.source,
    valid_from: price.validFrom,
    valid_to: price.validTo,
    daily_window: price.window,
  });
}

/** Unit prices as columns, in USD per million tokens. */
export function unitPricesToRow(prices: UnitPrices): Readonly<Record<string, string>> {
  return {
    uncached_usd_per_million: formatUsdPerMillionTokens(prices.uncachedPicoUsdPerToken),
    cache_read_usd_per_million: formatUsdPerMillionTokens(prices.cacheReadPicoUsdPerToken),
    cache_write_usd_per_million: formatUsdPerMillionTokens(prices.cacheWritePicoUsdPerToken),
    text_out_usd_per_million: formatUsdPerMillionTokens(prices.textOutPicoUsdPerToken),
    reasoning_out_usd_per_million: formatUsdPerMillionTokens(prices.reasoningOutPicoUsdPerToken),
  };
}

const indexed = (name: string): string => name.slice(0, MAX_INDEXED_LENGTH);
/** To the microsecond: more is noise. */
const milliseconds = (value: number): number =>
  Number.isFinite(value) ? Math.max(0, Math.round(value * 1_000) / 1_000) : 0;

function tokens(count: number | undefined): number | undefined {
  if (count !== undefined && !Number.isSafeInteger(count))
    throw new RangeError(`not a count of tokens: ${count}`);
  return count;
}

/** Years that every part of the system writes with four digits. */
function assertOrdinaryDate(date: Date): void {
  const year = date.getUTCFullYear();
  if (!(year >= 1970 && year <= 9999)) throw new RangeError("an instant outside the years 1970 to 9999");
}

/**
 * JSON that PostgreSQL can turn into text: NUL characters are taken out and lone surrogates replaced, which it
 * refuses both. `JSON.stringify` writes exactly those (and control characters) as `\u`, so most rows cost one scan.
 * It takes a third of the time for a row without a Date.
 */
export function toStorableJson(row: unknown): string {
  const json = JSON.stringify(row);
  return json.includes("\\u") ? JSON.stringify(toStorable(row)) : json;
}

function toStorable(value: unknown): unknown {
  if (typeof value === "string") return value.replaceAll("\0", "").toWellFormed();
  if (Array.isArray(value)) return value.map(toStorable);
  if (value instanceof Date || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [toStorable(key), toStorable(inner)]),
  );
}
