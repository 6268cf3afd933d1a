import { Migration } from "@mikro-orm/migrations";

/**
 * Records and requests by month, coarser sums, and retention (`docs/decisions/0010-partitions-and-rollups.md`).
 *
 * - `cost_record` and `request_log` become tables partitioned by the month (UTC) of `occurred_at`. A primary key of a
 *   partitioned table must have its partition key in it, so "once" now rests on (`record_id`, `occurred_at`): the
 *   `occurred_at` of an attempt is fixed when it is opened and never changes.
 * - There is no default partition: with one, pages could not be read month after month in order, and each new month
 *   would scan it under an exclusive lock. A row whose month is missing is refused, and the writer makes the month.
 * - `ensure_ledger_month` makes the partitions of a month, append-only from the start. They are made aside and then
 *   attached, since ATTACH lets reads and writes go on; `create table … partition of` would wait for every running
 *   report and hold up everybody else meanwhile.
 * - `drop_oldest_ledger_month` drops a month and notes it, in one transaction. It needs both tables for itself, for
 *   some milliseconds, and fails when it does not get them within two seconds.
 * - Locks and duration: both tables are locked from start to end and each row is written anew; see the decision for
 *   figures. The disk needs room for a second copy. A gateway of the version before cannot write afterwards: its rows
 *   stay in its journal until it is replaced.
 */
export class Migration0003MonthlyPartitions extends Migration {
  override up(): void {
    for (const statement of [
      ...RETENTION,
      ...ROLLUPS,
      ENSURE_MONTH,
      DROP_MONTH,
      ...TABLES.flatMap((table) => setAside(table, "partition by range (occurred_at)")),
      EVERY_MONTH,
      ...TABLES.flatMap((table) => moveBack(table, `${table.id}, occurred_at`)),
    ]) {
      this.addSql(statement);
    }
  }

  /** What retention dropped stays dropped. */
  override down(): void {
    for (const statement of [
      ...TABLES.flatMap((table) => setAside(table, "")),
      ...TABLES.flatMap((table) => moveBack(table, table.id)),
      "drop function ensure_ledger_month, drop_oldest_ledger_month",
      "drop table ledger_late_row, ledger_retention",
      "drop table cost_rollup_hourly_all_keys, cost_rollup_daily, cost_rollup_daily_all_keys, cost_rollup_monthly",
    ]) {
      this.addSql(statement);
    }
  }
}

interface Table {
  readonly name: string;
  readonly id: string;
  readonly afterwards: readonly string[];
}

const TABLES: readonly Table[] = [
  {
    name: "cost_record",
    id: "record_id",
    afterwards: [
      `create trigger cost_record_append_only before update or delete or truncate on cost_record
       for each statement execute function refuse_cost_record_change()`,
      "create index cost_record_occurred on cost_record (occurred_at, record_id)",
      "create index cost_record_key_occurred on cost_record (api_key_id, occurred_at, record_id)",
      "create index cost_record_recorded on cost_record (recorded_at)",
    ],
  },
  {
    name: "request_log",
    id: "request_log_id",
    afterwards: [
      "create index request_log_occurred on request_log (occurred_at)",
      "create index request_log_recorded on request_log (recorded_at)",
      "create index request_log_request on request_log (api_key_id, request_id)",
    ],
  },
];

function setAside({ name }: Table, partitioning: string): readonly string[] {
  return [
    `alter table ${name} rename to ${name}_before`,
    `create table ${name} (like ${name}_before including defaults including constraints) ${partitioning}`,
  ];
}

/** Indexes come last: built over all rows at once they are faster and denser. */
function moveBack({ name, afterwards }: Table, primaryKey: string): readonly string[] {
  return [
    `insert into ${name} select * from ${name}_before`,
    `drop table ${name}_before`,
    `alter table ${name} add primary key (${primaryKey})`,
    ...afterwards,
  ];
}

/** The months that have rows, the current one and the two after it. */
const EVERY_MONTH = `
  select ensure_ledger_month(month) from (
    select date_trunc('month', occurred_at, 'UTC') from cost_record_before
    union select date_trunc('month', occurred_at, 'UTC') from request_log_before
    union select now() union select now() + interval '31 days' union select now() + interval '62 days'
  ) as present (month)`;

const RETENTION = [
  // The months whose records and requests were dropped, and what their sums said then.
  `create table ledger_retention (
     month timestamptz primary key,
     attempts bigint not null,
     requests bigint not null,
     cost_usd numeric(30,12) not null,
     recorded_until timestamptz,
     dropped_at timestamptz not null default now()
   )`,
  // Rows that arrived after their month had been dropped: kept as they are, and in no sum.
  `create table ledger_late_row (
     row_id uuid primary key,
     table_name text not null,
     occurred_at timestamptz not null,
     content jsonb not null,
     recorded_at timestamptz not null default now()
   )`,
];

const SUMS = [
  ...["requests", "attempts", "tokens_in", "tokens_out", "uncached_tokens_in", "cache_read_tokens_in"],
  ...["cache_write_tokens_in", "text_tokens_out", "reasoning_tokens_out", "cost_usd", "reported_attempts"],
  ...["estimated_attempts", "unpriced_attempts", "not_billed_attempts", "unknown_attempts"],
  ...["estimated_tokens", "unpriced_tokens", "unknown_tokens", "estimated_cost_usd", "unknown_cost_usd"],
];

/** A coarser table of sums, filled from the hourly one. */
function rollup(table: string, unit: "hour" | "day" | "month", names: readonly string[]): readonly string[] {
  const key = [unit, ...names].join(", ");
  const left = ["hour", "api_key_id", "provider", "model"].filter(
    (name) => name !== unit && !names.includes(name),
  );
  return [
    `create table ${table} (like cost_rollup_hourly) with (fillfactor = 60)`,
    ...(unit === "hour" ? [] : [`alter table ${table} add column ${unit} timestamptz not null`]),
    ...left.map((name) => `alter table ${table} drop column ${name}`),
    `alter table ${table} add primary key (${key})`,
    `insert into ${table} (${key}, ${SUMS.join(", ")})
     select date_trunc('${unit}', hour, 'UTC'), ${[...names, ...SUMS.map((sum) => `sum(${sum})`)].join(", ")}
     from cost_rollup_hourly group by ${[1, ...names].join(", ")}`,
  ];
}

const ROLLUPS = [
  ...rollup("cost_rollup_hourly_all_keys", "hour", ["provider", "model"]),
  ...rollup("cost_rollup_daily", "day", ["api_key_id", "provider", "model"]),
  ...rollup("cost_rollup_daily_all_keys", "day", ["provider", "model"]),
  ...rollup("cost_rollup_monthly", "month", ["api_key_id", "provider", "model"]),
  // One key's days, among those of all.
  "create index cost_rollup_daily_key on cost_rollup_daily (api_key_id, day)",
];

/** Any constant will do as long as every version keeps it: the advisory lock under which months come and go. */
const MONTHS_LOCK = "5507141029582";

/** Returns false when the month's records were dropped, or are older than some that were. */
const ENSURE_MONTH = `
  create function ensure_ledger_month(instant timestamptz) returns boolean language plpgsql as $$
  declare
    first_instant timestamptz := date_trunc('month', instant, 'UTC');
    next_month timestamptz := (date_trunc('month', instant, 'UTC') at time zone 'UTC' + interval '1 month') at time zone 'UTC';
    parent text;
    partition text;
  begin
    perform pg_advisory_xact_lock(${MONTHS_LOCK});
    if exists (select from ledger_retention where month >= first_instant) then
      return false;
    end if;
    foreach parent in array array['cost_record', 'request_log'] loop
      partition := parent || to_char(first_instant at time zone 'UTC', '_YYYY_MM');
      continue when to_regclass(partition) is not null;
      execute format('create table %I (like %I including defaults including constraints)', partition, parent);
      if parent = 'cost_record' then
        execute format('create trigger cost_record_append_only before update or delete or truncate on %I
          for each statement execute function refuse_cost_record_change()', partition);
      end if;
      execute format('alter table %I attach partition %I for values from (%L) to (%L)',
        parent, partition, first_instant, next_month);
    end loop;
    return true;
  end
  $$`;

/**
 * Drops the oldest month that ended at least so many months ago, by the database's own clock, and returns its row of
 * \`ledger_retention\`; no row when there is none.
 */
const DROP_MONTH = `
  create function drop_oldest_ledger_month(keep_months integer) returns setof ledger_retention
  language plpgsql set lock_timeout = '2s' as $$
  declare
    kept_from timestamptz :=
      date_trunc('month', (now() at time zone 'UTC') - make_interval(months => keep_months)) at time zone 'UTC';
    oldest timestamptz;
    suffix text;
    last_recorded timestamptz;
    last_requested timestamptz;
  begin
    if keep_months < 2 then
      raise 'at least two months are kept, not %', keep_months using errcode = 'invalid_parameter_value';
    end if;
    perform pg_advisory_xact_lock(${MONTHS_LOCK});
    select min(to_date(right(child.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC') into oldest
    from pg_inherits join pg_class as child on child.oid = inhrelid
    where inhparent in ('cost_record'::regclass, 'request_log'::regclass);
    if oldest is null or oldest >= kept_from then
      return;
    end if;
    suffix := to_char(oldest at time zone 'UTC', '_YYYY_MM');
    lock table only cost_record, only request_log in access exclusive mode;
    execute format('select max(recorded_at) from %I', 'cost_record' || suffix) into last_recorded;
    execute format('select max(recorded_at) from %I', 'request_log' || suffix) into last_requested;
    return query
      insert into ledger_retention (month, attempts, requests, cost_usd, recorded_until)
      select oldest, coalesce(sum(attempts), 0), coalesce(sum(requests), 0), coalesce(sum(cost_usd), 0),
        greatest(last_recorded, last_requested)
      from cost_rollup_monthly where cost_rollup_monthly.month = oldest
      returning *;
    execute format('drop table %I, %I', 'cost_record' || suffix, 'request_log' || suffix);
  end
  $$`;
