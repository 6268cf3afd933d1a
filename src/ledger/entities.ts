import { defineEntity, p } from "@mikro-orm/core";
import { DAILY, DAILY_ALL_KEYS, HOURLY, HOURLY_ALL_KEYS, MONTHLY } from "./rollups.ts";

/**
 * The ledger's tables as the ORM sees them: a test compares them with what the migrations made. The hot paths use
 * SQL of their own (`write-statement.ts`, `cost-query-sql.ts`, `record-page.ts`). None of this leaves the ledger.
 */

const text = (fieldName: string) => p.string().fieldName(fieldName).columnType("text");
const count = (fieldName: string) => p.bigint("bigint").fieldName(fieldName);
const usd = (fieldName: string) => p.decimal("string").fieldName(fieldName).columnType("numeric(24,12)");
const sumOfUsd = (fieldName: string) => p.decimal("string").fieldName(fieldName).columnType("numeric(30,12)");
const unitPrice = (fieldName: string) => p.decimal("string").fieldName(fieldName).columnType("numeric(18,6)");
const milliseconds = (fieldName: string) => p.double().fieldName(fieldName).columnType("double precision");
const instant = (fieldName: string) => p.datetime().fieldName(fieldName).columnType("timestamptz");
const recordedAt = () => instant("recorded_at").defaultRaw("now()");
const tags = () => p.json().$type<Readonly<Record<string, string>>>().columnType("jsonb");

const PriceEntity = defineEntity({
  name: "Price",
  tableName: "price",
  properties: {
    priceId: text("price_id").primary(),
    provider: text("provider"),
    model: text("model"),
    uncachedUsdPerMillion: unitPrice("uncached_usd_per_million"),
    cacheReadUsdPerMillion: unitPrice("cache_read_usd_per_million"),
    cacheWriteUsdPerMillion: unitPrice("cache_write_usd_per_million"),
    textOutUsdPerMillion: unitPrice("text_out_usd_per_million"),
    reasoningOutUsdPerMillion: unitPrice("reasoning_out_usd_per_million"),
    tiers: p.json().columnType("jsonb"),
    source: text("source"),
    validFrom: instant("valid_from").nullable(),
    validTo: instant("valid_to").nullable(),
    dailyWindow: text("daily_window").nullable(),
    recordedAt: recordedAt(),
  },
});

const CostRecordEntity = defineEntity({
  name: "CostRecord",
  tableName: "cost_record",
  properties: {
    recordId: p.uuid().primary().fieldName("record_id"),
    attemptId: p.uuid().fieldName("attempt_id"),
    requestId: text("request_id"),
    ordinal: p.integer(),
    kind: text("kind"),
    apiKeyId: text("api_key_id"),
    provider: text("provider"),
    model: text("model"),
    responseModel: text("response_model").nullable(),
    outcome: text("outcome"),
    errorReason: text("error_reason").nullable(),
    tokensIn: count("tokens_in").nullable(),
    tokensOut: count("tokens_out").nullable(),
    uncachedTokensIn: count("uncached_tokens_in").nullable(),
    cacheReadTokensIn: count("cache_read_tokens_in").nullable(),
    cacheWriteTokensIn: count("cache_write_tokens_in").nullable(),
    textTokensOut: count("text_tokens_out").nullable(),
    reasoningTokensOut: count("reasoning_tokens_out").nullable(),
    usageSource: text("usage_source"),
    billingState: text("billing_state"),
    costUsd: usd("cost_usd").nullable(),
    uncachedUsdPerMillion: unitPrice("uncached_usd_per_million").nullable(),
    cacheReadUsdPerMillion: unitPrice("cache_read_usd_per_million").nullable(),
    cacheWriteUsdPerMillion: unitPrice("cache_write_usd_per_million").nullable(),
    textOutUsdPerMillion: unitPrice("text_out_usd_per_million").nullable(),
    reasoningOutUsdPerMillion: unitPrice("reasoning_out_usd_per_million").nullable(),
    priceId: text("price_id").nullable(),
    providerCostUsd: usd("provider_cost_usd").nullable(),
    flags: p.json().$type<readonly string[]>().columnType("jsonb"),
    tags: tags(),
    endUser: text("end_user").nullable(),
    streamed: p.boolean(),
    latencyMs: milliseconds("latency_ms"),
    timeToFirstTokenMs: milliseconds("time_to_first_token_ms").nullable(),
    providerRequestId: text("provider_request_id").nullable(),
    occurredAt: instant("occurred_at").primary(),
    recordedAt: recordedAt(),
    revision: p.integer().default(0),
    adjustmentId: p.uuid().fieldName("adjustment_id").nullable(),
  },
  checks: [
    { name: "cost_record_kind", expression: "kind in ('charge', 'reversal', 'adjustment')" },
    { name: "cost_record_revision", expression: "revision >= 0 and (kind = 'charge') = (revision = 0)" },
    { name: "cost_record_charged_once", expression: "kind <> 'charge' or record_id = attempt_id" },
  ],
  indexes: [
    { name: "cost_record_occurred", properties: ["occurredAt", "recordId"] },
    { name: "cost_record_key_occurred", properties: ["apiKeyId", "occurredAt", "recordId"] },
    { name: "cost_record_recorded", properties: ["recordedAt"] },
    {
      name: "cost_record_adjusted",
      properties: ["attemptId", "revision"],
      where: "kind = 'adjustment'",
    },
  ],
});

const RequestLogEntity = defineEntity({
  name: "RequestLog",
  tableName: "request_log",
  properties: {
    requestLogId: p.uuid().primary().fieldName("request_log_id"),
    requestId: text("request_id"),
    apiKeyId: text("api_key_id"),
    method: text("method"),
    requestedModel: text("requested_model"),
    provider: text("provider").nullable(),
    model: text("model").nullable(),
    status: text("status"),
    errorReason: text("error_reason").nullable(),
    attempts: p.integer(),
    fellBack: p.boolean().fieldName("fell_back"),
    latencyMs: milliseconds("latency_ms"),
    traceId: text("trace_id").nullable(),
    tags: tags(),
    endUser: text("end_user").nullable(),
    occurredAt: instant("occurred_at").primary(),
    recordedAt: recordedAt(),
  },
  indexes: [
    { name: "request_log_occurred", properties: ["occurredAt"] },
    { name: "request_log_recorded", properties: ["recordedAt"] },
    { name: "request_log_request", properties: ["apiKeyId", "requestId"] },
  ],
});

const sums = () => ({
  requests: count("requests"),
  attempts: count("attempts"),
  tokensIn: count("tokens_in"),
  tokensOut: count("tokens_out"),
  uncachedTokensIn: count("uncached_tokens_in"),
  cacheReadTokensIn: count("cache_read_tokens_in"),
  cacheWriteTokensIn: count("cache_write_tokens_in"),
  textTokensOut: count("text_tokens_out"),
  reasoningTokensOut: count("reasoning_tokens_out"),
  costUsd: sumOfUsd("cost_usd"),
  reportedAttempts: count("reported_attempts"),
  estimatedAttempts: count("estimated_attempts"),
  unpricedAttempts: count("unpriced_attempts"),
  notBilledAttempts: count("not_billed_attempts"),
  unknownAttempts: count("unknown_attempts"),
  estimatedTokens: count("estimated_tokens"),
  unpricedTokens: count("unpriced_tokens"),
  unknownTokens: count("unknown_tokens"),
  estimatedCostUsd: sumOfUsd("estimated_cost_usd"),
  unknownCostUsd: sumOfUsd("unknown_cost_usd"),
});
const apiKey = () => ({ apiKeyId: text("api_key_id").primary() });
const target = () => ({ provider: text("provider").primary(), model: text("model").primary() });

const CostRollupHourlyEntity = defineEntity({
  name: "CostRollupHourly",
  tableName: HOURLY.table,
  properties: { hour: instant("hour").primary(), ...apiKey(), ...target(), ...sums() },
});

const CostRollupDailyEntity = defineEntity({
  name: "CostRollupDaily",
  tableName: DAILY.table,
  properties: { day: instant("day").primary(), ...apiKey(), ...target(), ...sums() },
  indexes: [{ name: "cost_rollup_daily_key", properties: ["apiKeyId", "day"] }],
});

const CostRollupMonthlyEntity = defineEntity({
  name: "CostRollupMonthly",
  tableName: MONTHLY.table,
  properties: { month: instant("month").primary(), ...apiKey(), ...target(), ...sums() },
});

const CostRollupHourlyAllKeysEntity = defineEntity({
  name: "CostRollupHourlyAllKeys",
  tableName: HOURLY_ALL_KEYS.table,
  properties: { hour: instant("hour").primary(), ...target(), ...sums() },
});

const CostRollupDailyAllKeysEntity = defineEntity({
  name: "CostRollupDailyAllKeys",
  tableName: DAILY_ALL_KEYS.table,
  properties: { day: instant("day").primary(), ...target(), ...sums() },
});

const LedgerRetentionEntity = defineEntity({
  name: "LedgerRetention",
  tableName: "ledger_retention",
  properties: {
    month: instant("month").primary(),
    attempts: count("attempts"),
    requests: count("requests"),
    costUsd: sumOfUsd("cost_usd"),
    recordedUntil: instant("recorded_until").nullable(),
    droppedAt: instant("dropped_at").defaultRaw("now()"),
  },
});

const LedgerLateRowEntity = defineEntity({
  name: "LedgerLateRow",
  tableName: "ledger_late_row",
  properties: {
    rowId: p.uuid().primary().fieldName("row_id"),
    tableName: text("table_name"),
    occurredAt: instant("occurred_at"),
    content: p.json().columnType("jsonb"),
    recordedAt: recordedAt(),
  },
});

const CostAdjustmentEntity = defineEntity({
  name: "CostAdjustment",
  tableName: "cost_adjustment",
  properties: {
    adjustmentId: p.uuid().primary().fieldName("adjustment_id"),
    apiKeyId: text("api_key_id"),
    requestId: text("request_id"),
    requestDigest: text("request_digest"),
    reason: text("reason"),
    filter: p.json().columnType("jsonb"),
    scope: text("scope"),
    source: p.json().columnType("jsonb"),
    recordedAt: recordedAt(),
  },
  uniques: [{ name: "cost_adjustment_request", properties: ["apiKeyId", "requestId"] }],
});

const CostAdjustmentStepEntity = defineEntity({
  name: "CostAdjustmentStep",
  tableName: "cost_adjustment_step",
  properties: {
    adjustmentId: p.uuid().primary().fieldName("adjustment_id"),
    step: p.integer().primary().autoincrement(false),
    examined: count("examined"),
    unchanged: count("unchanged"),
    unpriced: count("unpriced"),
    planned: count("planned"),
    adjusted: count("adjusted"),
    costBeforeUsd: sumOfUsd("cost_before_usd"),
    costAfterUsd: sumOfUsd("cost_after_usd"),
    priceIds: p.json().$type<readonly string[]>().columnType("jsonb"),
    afterOccurredAt: instant("after_occurred_at").nullable(),
    afterAttemptId: p.uuid().fieldName("after_attempt_id").nullable(),
    complete: p.boolean(),
    recordedAt: recordedAt(),
  },
  checks: [{ name: "cost_adjustment_all_or_none", expression: "adjusted = planned" }],
});

/** What `openDatabase` must be given for the ledger. */
export const ledgerEntities = [
  PriceEntity,
  CostRecordEntity,
  RequestLogEntity,
  CostRollupHourlyEntity,
  CostRollupDailyEntity,
  CostRollupMonthlyEntity,
  CostRollupHourlyAllKeysEntity,
  CostRollupDailyAllKeysEntity,
  LedgerRetentionEntity,
  LedgerLateRowEntity,
  CostAdjustmentEntity,
  CostAdjustmentStepEntity,
] as const;
