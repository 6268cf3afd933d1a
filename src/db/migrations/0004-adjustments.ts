import { Migration } from "@mikro-orm/migrations";

/**
 * Corrections: entries of `cost_record` that take back and replace others, and the audit of those that somebody asked
 * for.
 *
 * - The new columns have a constant default or none: no row is rewritten. The checks read the table once under an
 *   exclusive lock, about a second for some millions of rows.
 * - The index holds adjustments only, which are rare; it finds the entry in force of an attempt.
 * - `cost_adjustment` is the act (who, why, what), written before its first entry; `cost_adjustment_step` is a batch
 *   of it, written in the statement that writes the batch's entries. Both are append-only like `cost_record`.
 * - `cost_adjustment_all_or_none`: a batch of which another correction took a part away fails as a whole.
 */
export class Migration0004Adjustments extends Migration {
  override up(): void {
    for (const statement of [...COST_RECORD, COST_ADJUSTMENT, COST_ADJUSTMENT_STEP, ...APPEND_ONLY]) {
      this.addSql(statement);
    }
  }

  override down(): void {
    this.addSql("drop table cost_adjustment_step, cost_adjustment");
    this.addSql("drop function refuse_adjustment_change");
    this.addSql("drop index cost_record_adjusted");
    this.addSql(`alter table cost_record drop constraint cost_record_revision, drop constraint cost_record_kind,
      drop column revision, drop column adjustment_id,
      add constraint cost_record_kind check (kind in ('charge', 'adjustment'))`);
  }
}

const COST_RECORD = [
  `alter table cost_record
     add column revision integer not null default 0,
     add column adjustment_id uuid`,
  `alter table cost_record
     drop constraint cost_record_kind,
     add constraint cost_record_kind check (kind in ('charge', 'reversal', 'adjustment')),
     add constraint cost_record_revision check (revision >= 0 and (kind = 'charge') = (revision = 0))`,
  "create index cost_record_adjusted on cost_record (attempt_id, revision) where kind = 'adjustment'",
];

const COST_ADJUSTMENT = `
  create table cost_adjustment (
    adjustment_id uuid primary key,
    api_key_id text not null,
    request_id text not null,
    request_digest text not null,
    reason text not null,
    filter jsonb not null,
    scope text not null,
    source jsonb not null,
    recorded_at timestamptz not null default now(),
    constraint cost_adjustment_request unique (api_key_id, request_id)
  )`;

const COST_ADJUSTMENT_STEP = `
  create table cost_adjustment_step (
    adjustment_id uuid not null,
    step integer not null,
    examined bigint not null,
    unchanged bigint not null,
    unpriced bigint not null,
    planned bigint not null,
    adjusted bigint not null,
    cost_before_usd numeric(30,12) not null,
    cost_after_usd numeric(30,12) not null,
    price_ids jsonb not null,
    after_occurred_at timestamptz,
    after_attempt_id uuid,
    complete boolean not null,
    recorded_at timestamptz not null default now(),
    primary key (adjustment_id, step),
    constraint cost_adjustment_all_or_none check (adjusted = planned)
  )`;

const APPEND_ONLY = [
  `create function refuse_adjustment_change() returns trigger language plpgsql as $$
   begin
     raise exception '% is append-only: % refused', tg_table_name, tg_op using errcode = 'restrict_violation';
   end
   $$`,
  ...["cost_adjustment", "cost_adjustment_step"].map(
    (table) => `create trigger ${table}_append_only before update or delete or truncate on ${table}
   for each statement execute function refuse_adjustment_change()`,
  ),
];
