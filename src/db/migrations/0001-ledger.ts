import { Migration } from "@mikro-orm/migrations";

/**
 * The ledger: prices, attempts, requests, hourly sums.
 *
 * - `cost_record` is append-only, and the database enforces it. A charge's `record_id` is its `attempt_id`, so the
 *   primary key alone makes every attempt count once; later adjustments get ids of their own.
 * - No foreign keys and no checks of amounts: a record that contradicts another table is evidence to keep, not to
 *   refuse, and the price that was applied is in the record itself.
 * - `recorded_at` is the start of the transaction that wrote the row, by the database's clock; reports "as of" an
 *   instant rest on it (`src/ledger/as-of.ts`).
 * - Token columns are bigint, money NUMERIC(24,12) of USD, unit prices NUMERIC(18,6) of USD per million tokens.
 * - `cost_rollup_hourly` is updated in place many times an hour: free space in its pages keeps those updates off
 *   the index.
 */
export class Migration0001Ledger extends Migration {
  override up(): void {
    for (const statement of [
      PRICE,
      COST_RECORD,
      REQUEST_LOG,
      COST_ROLLUP_HOURLY,
      ...APPEND_ONLY,
      ...INDEXES,
    ]) {
      this.addSql(statement);
    }
  }

  override down(): void {
    this.addSql("drop table cost_rollup_hourly, request_log, cost_record, price");
    this.addSql("drop function refuse_cost_record_change");
  }
}

const PRICE = `
  create table price (
    price_id text primary key,
    provider text not null,
    model text not null,
    uncached_usd_per_million numeric(18,6) not null,
    cache_read_usd_per_million numeric(18,6) not null,
    cache_write_usd_per_million numeric(18,6) not null,
    text_out_usd_per_million numeric(18,6) not null,
    reasoning_out_usd_per_million numeric(18,6) not null,
    tiers jsonb not null,
    source text not null,
    valid_from timestamptz,
    valid_to timestamptz,
    daily_window text,
    recorded_at timestamptz not null default now()
  )`;

const COST_RECORD = `
  create table cost_record (
    record_id uuid primary key,
    attempt_id uuid not null,
    request_id text not null,
    ordinal integer not null,
    kind text not null,
    api_key_id text not null,
    provider text not null,
    model text not null,
    response_model text,
    outcome text not null,
    error_reason text,
    tokens_in bigint,
    tokens_out bigint,
    uncached_tokens_in bigint,
    cache_read_tokens_in bigint,
    cache_write_tokens_in bigint,
    text_tokens_out bigint,
    reasoning_tokens_out bigint,
    usage_source text not null,
    billing_state text not null,
    cost_usd numeric(24,12),
    uncached_usd_per_million numeric(18,6),
    cache_read_usd_per_million numeric(18,6),
    cache_write_usd_per_million numeric(18,6),
    text_out_usd_per_million numeric(18,6),
    reasoning_out_usd_per_million numeric(18,6),
    price_id text,
    provider_cost_usd numeric(24,12),
    flags jsonb not null,
    tags jsonb not null,
    end_user text,
    streamed boolean not null,
    latency_ms double precision not null,
    time_to_first_token_ms double precision,
    provider_request_id text,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    constraint cost_record_kind check (kind in ('charge', 'adjustment')),
    constraint cost_record_charged_once check (kind <> 'charge' or record_id = attempt_id)
  )`;

const REQUEST_LOG = `
  create table request_log (
    request_log_id uuid primary key,
    request_id text not null,
    api_key_id text not null,
    method text not null,
    requested_model text not null,
    provider text,
    model text,
    status text not null,
    error_reason text,
    attempts integer not null,
    fell_back boolean not null,
    latency_ms double precision not null,
    trace_id text,
    tags jsonb not null,
    end_user text,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now()
  )`;

const COST_ROLLUP_HOURLY = `
  create table cost_rollup_hourly (
    hour timestamptz not null,
    api_key_id text not null,
    provider text not null,
    model text not null,
    requests bigint not null,
    attempts bigint not null,
    tokens_in bigint not null,
    tokens_out bigint not null,
    uncached_tokens_in bigint not null,
    cache_read_tokens_in bigint not null,
    cache_write_tokens_in bigint not null,
    text_tokens_out bigint not null,
    reasoning_tokens_out bigint not null,
    cost_usd numeric(30,12) not null,
    reported_attempts bigint not null,
    estimated_attempts bigint not null,
    unpriced_attempts bigint not null,
    not_billed_attempts bigint not null,
    unknown_attempts bigint not null,
    estimated_tokens bigint not null,
    unpriced_tokens bigint not null,
    unknown_tokens bigint not null,
    estimated_cost_usd numeric(30,12) not null,
    unknown_cost_usd numeric(30,12) not null,
    primary key (hour, api_key_id, provider, model)
  ) with (fillfactor = 60)`;

const APPEND_ONLY = [
  `create function refuse_cost_record_change() returns trigger language plpgsql as $$
   begin
     raise exception 'cost_record is append-only: % refused', tg_op using errcode = 'restrict_violation';
   end
   $$`,
  `create trigger cost_record_append_only before update or delete or truncate on cost_record
   for each statement execute function refuse_cost_record_change()`,
];

const INDEXES = [
  // Pages of records, newest first: of everybody, and of one key.
  "create index cost_record_occurred on cost_record (occurred_at, record_id)",
  "create index cost_record_key_occurred on cost_record (api_key_id, occurred_at, record_id)",
  // What was recorded after a report's instant.
  "create index cost_record_recorded on cost_record (recorded_at)",
  // Requests of the hours that a report covers in part, and those recorded after its instant.
  "create index request_log_occurred on request_log (occurred_at)",
  "create index request_log_recorded on request_log (recorded_at)",
  // A request by the id that its caller chose.
  "create index request_log_request on request_log (api_key_id, request_id)",
];
