/** A column and the type that its value has inside the JSON which carries rows to the database. */
export interface Column {
  readonly name: string;
  readonly type: string;
}

const column =
  (type: string) =>
  (name: string): Column => ({ name, type });
const text = column("text");
const uuid = column("uuid");
const bigint = column("bigint");
const numeric = column("numeric");
const jsonb = column("jsonb");
const integer = column("integer");
const boolean = column("boolean");
const double = column("double precision");
const instant = column("timestamptz");

/** The unit prices of a record or a price, in USD per million tokens. */
export const UNIT_PRICE_COLUMNS: readonly Column[] = [
  "uncached_usd_per_million",
  "cache_read_usd_per_million",
  "cache_write_usd_per_million",
  "text_out_usd_per_million",
  "reasoning_out_usd_per_million",
].map(numeric);

export const TOKEN_COLUMNS: readonly Column[] = [
  ...["tokens_in", "tokens_out", "uncached_tokens_in", "cache_read_tokens_in", "cache_write_tokens_in"],
  ...["text_tokens_out", "reasoning_tokens_out"],
].map(bigint);

/** What a reversal has with the opposite sign. */
export const SIGNED_COLUMNS: readonly Column[] = [
  ...TOKEN_COLUMNS,
  ...["cost_usd", "provider_cost_usd"].map(numeric),
];

/** What a re-rating changes of an entry. */
export const PRICING_COLUMNS: readonly Column[] = [
  text("billing_state"),
  numeric("cost_usd"),
  ...UNIT_PRICE_COLUMNS,
  text("price_id"),
  jsonb("flags"),
];

/** What an entry comes to: entries that agree in these count and cost the same. */
export const ACCOUNTING_COLUMNS: readonly Column[] = [
  ...TOKEN_COLUMNS,
  ...["usage_source", "billing_state"].map(text),
  numeric("cost_usd"),
  ...UNIT_PRICE_COLUMNS,
  text("price_id"),
];

/** What a late outcome may change of an entry: all but whose attempt it is. */
export const OUTCOME_COLUMNS: readonly Column[] = [
  ...["response_model", "outcome", "error_reason"].map(text),
  ...ACCOUNTING_COLUMNS,
  numeric("provider_cost_usd"),
  jsonb("flags"),
  ...["latency_ms", "time_to_first_token_ms"].map(double),
  text("provider_request_id"),
];

/** What the writer fills in of a charge; `recorded_at` is the database's own. */
export const COST_RECORD_COLUMNS: readonly Column[] = [
  ...["record_id", "attempt_id"].map(uuid),
  text("request_id"),
  integer("ordinal"),
  ...["kind", "api_key_id", "provider", "model", "response_model", "outcome", "error_reason"].map(text),
  ...TOKEN_COLUMNS,
  ...["usage_source", "billing_state"].map(text),
  numeric("cost_usd"),
  ...UNIT_PRICE_COLUMNS,
  text("price_id"),
  numeric("provider_cost_usd"),
  ...["flags", "tags"].map(jsonb),
  text("end_user"),
  boolean("streamed"),
  ...["latency_ms", "time_to_first_token_ms"].map(double),
  text("provider_request_id"),
  instant("occurred_at"),
];

export const REQUEST_LOG_COLUMNS: readonly Column[] = [
  uuid("request_log_id"),
  ...[
    "request_id",
    "api_key_id",
    "method",
    "requested_model",
    "provider",
    "model",
    "status",
    "error_reason",
  ].map(text),
  integer("attempts"),
  boolean("fell_back"),
  double("latency_ms"),
  text("trace_id"),
  jsonb("tags"),
  text("end_user"),
  instant("occurred_at"),
];

export const PRICE_COLUMNS: readonly Column[] = [
  ...["price_id", "provider", "model"].map(text),
  ...UNIT_PRICE_COLUMNS,
  jsonb("tiers"),
  text("source"),
  ...["valid_from", "valid_to"].map(instant),
  text("daily_window"),
];
