import type { Database } from "../../src/db/database.ts";
import { openDatabase } from "../../src/db/open-database.ts";
import { ledgerEntities } from "../../src/ledger/entities.ts";
import type { SqlQuery, SqlRow } from "../../src/ledger/ledger-database.ts";
import { ROLLUPS } from "../../src/ledger/rollups.ts";
import { startPostgres } from "../../test/support/postgres.ts";
import type { Workspace } from "../workspace.ts";
import { takeIndexesAway } from "./bare-tables.ts";
import { makeRecords, makeRollups, type Workload } from "./workload.ts";

/** As an operator would set a database of this size up; the rest is PostgreSQL's default, fsync included. */
export const SETTINGS = [
  ...["shared_buffers=1GB", "effective_cache_size=4GB", "max_wal_size=8GB"],
  ...["work_mem=64MB", "maintenance_work_mem=512MB"],
];

export interface ReportDatabase {
  readonly database: Database;
  /** Statements that may take longer than the gateway's. */
  readonly patiently: SqlQuery;
  readonly version: string;
  readonly loadSeconds: number;
  readonly sizes: readonly TableSize[];
}

export interface TableSize {
  readonly table: string;
  readonly rows: number;
  readonly tableMiB: number;
  readonly indexMiB: number;
}

/** A PostgreSQL of its own with the whole workload; it is stopped and removed with the workspace. */
export async function makeReportDatabase(
  workspace: Workspace,
  workload: Workload,
  progress: (text: string) => void,
): Promise<ReportDatabase> {
  const postgres = await startPostgres(SETTINGS);
  workspace.atEnd(() => postgres.close());
  const url = await postgres.createDatabase();
  const database = await openDatabase({ url, entities: [...ledgerEntities] });
  workspace.atEnd(() => database.close());
  const { query } = database;
  const patiently = await withoutTimeLimit(database);

  const startedAtMs = performance.now();
  const indexes = await Promise.all(
    ["cost_record", "request_log"].map((table) => takeIndexesAway(query, table)),
  );
  await makeRecords(patiently, workload, progress);
  progress("indexes");
  for (const statement of indexes.flat()) await patiently(statement);
  progress("rollups");
  await makeRollups(patiently, workload);
  progress("vacuum");
  await patiently("VACUUM (ANALYZE)");
  await patiently("CHECKPOINT");
  const [server] = await query("SHOW server_version");
  return {
    database,
    patiently,
    version: String(server?.server_version),
    loadSeconds: (performance.now() - startedAtMs) / 1_000,
    sizes: await Promise.all(
      ["cost_record", "request_log", ...ROLLUPS.map(({ table }) => table)].map((table) =>
        sizeOf(database, table),
      ),
    ),
  };
}

/** The part of the driver's pool that is used here. */
interface Pool {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly SqlRow[] }>;
}

/** The gateway gives a statement up after half a minute. */
async function withoutTimeLimit({ orm }: Database): Promise<SqlQuery> {
  const connection = orm.em.getConnection();
  if (!("getNativeClient" in connection) || typeof connection.getNativeClient !== "function")
    throw new Error("not PostgreSQL");
  const pool = (await connection.getNativeClient()) as Pool;
  return async (text, values = []) => (await pool.query(text, [...values])).rows;
}

async function sizeOf({ query }: Database, table: string): Promise<TableSize> {
  const [size] = await query(
    `SELECT sum(greatest(reltuples, 0))::float8 AS rows, sum(pg_table_size(relid))::float8 / 1048576 AS table_mib,
       sum(pg_indexes_size(relid))::float8 / 1048576 AS index_mib
     FROM pg_partition_tree($1::regclass) JOIN pg_class ON pg_class.oid = relid WHERE isleaf`,
    [table],
  );
  const [plain] =
    size?.rows === null
      ? await query(
          `SELECT reltuples::float8 AS rows, pg_table_size(oid)::float8 / 1048576 AS table_mib,
             pg_indexes_size(oid)::float8 / 1048576 AS index_mib FROM pg_class WHERE oid = $1::regclass`,
          [table],
        )
      : [size];
  const { rows, table_mib: tableMiB, index_mib: indexMiB } = plain ?? {};
  return { table, rows: Number(rows), tableMiB: Number(tableMiB), indexMiB: Number(indexMiB) };
}
