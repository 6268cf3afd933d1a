import { Migration } from "@mikro-orm/migrations";

/** The table of API keys. */
export class Migration0002ApiKeys extends Migration {
  override up(): void {
    this.addSql(`
      create table api_key (
        api_key_id text primary key check (api_key_id ~ '^k_[0-9A-Za-z]{12}$'),
        display_name text not null,
        roles jsonb not null,
        allowed_models jsonb not null,
        requests_per_minute integer check (requests_per_minute > 0),
        tokens_per_minute integer check (tokens_per_minute > 0),
        max_concurrent integer check (max_concurrent > 0),
        tags jsonb not null,
        secret_hash bytea not null check (length(secret_hash) = 32),
        previous_secret_hash bytea check (length(previous_secret_hash) = 32),
        previous_valid_until timestamptz,
        created_at timestamptz not null,
        created_by text not null,
        expires_at timestamptz,
        revoked_at timestamptz,
        revision integer not null,
        check ((previous_secret_hash is null) = (previous_valid_until is null))
      )
    `);
    // Serves the only list there is: newest first, paged by the position of the last key seen.
    this.addSql("create index api_key_created on api_key (created_at desc, api_key_id desc)");
  }

  override down(): void {
    this.addSql("drop table api_key");
  }
}
