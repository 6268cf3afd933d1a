import { Migration } from "@mikro-orm/migrations";

/**
 * What replicas tell each other of requests whose callers chose the id. Small and short-lived: rows go after a day, and
 * nothing is lost for good with them. Creating an empty table locks nothing that anybody uses.
 */
export class Migration0005RepeatedRequests extends Migration {
  override up(): void {
    this.addSql(`
      create table repeated_request (
        api_key_id text not null,
        request_id text not null,
        sequence bigint generated always as identity,
        fingerprint text not null,
        owner uuid not null,
        concluded boolean not null default false,
        run_until timestamptz not null,
        expires_at timestamptz not null,
        sealed bytea,
        sealed_bytes integer,
        sealed_until timestamptz,
        primary key (api_key_id, request_id),
        check ((sealed is null) = (sealed_bytes is null) and (sealed is null) = (sealed_until is null))
      )
    `);
    // Compressing what is encrypted costs time and saves nothing.
    this.addSql("alter table repeated_request alter column sealed set storage external");
    // In this order rows expire.
    this.addSql("create unique index repeated_request_sequence on repeated_request (sequence)");
    // How much is kept, without reading it.
    this.addSql(`
      create index repeated_request_sealed on repeated_request (sequence, sealed_bytes) where sealed is not null
    `);
  }

  override down(): void {
    this.addSql("drop table repeated_request");
  }
}
