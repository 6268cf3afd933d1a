import type { Socket } from "node:net";
import { MikroORM, type PostgreSqlConnection } from "@mikro-orm/postgresql";
import type { SqlMikroORM } from "@mikro-orm/sql";
import { GatewayError } from "../core/errors.ts";
import type { DatabaseDriver, DriverOptions, ReadSession, SqlQuery, SqlRow, SqlValue } from "./database.ts";
import { ormOptions } from "./orm-options.ts";

export interface PostgresOptions extends DriverOptions {
  /** `postgres://user:password@host:port/database?sslmode=…` */
  readonly url: string;
  readonly poolSize: number;
  /**
   * Lets the server keep the plan of named statements: 1.3 ms less of its CPU for each write of the ledger. Such a
   * statement belongs to its connection, so a proxy that pools by transaction must know of them or they must be off.
   */
  readonly preparedStatements: boolean;
}

/** A connection that is not made, or not free, within this is an error. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A statement without an answer for so long is given up, and its connection closed. */
const QUERY_TIMEOUT_MS = 30_000;
/** The server ends a report's statement after this, unless its caller says otherwise. */
const SNAPSHOT_STATEMENT_TIMEOUT_MS = 25_000;
/** So much later the client gives up on it. */
const SNAPSHOT_GRACE_MS = 5_000;
/**
 * No statement may take longer, so a connection that is silent for so long leads nowhere: its server is gone without a
 * word, as after a failover to another host. TCP alone would find out after a quarter of an hour.
 */
const SILENT_CONNECTION_TIMEOUT_MS = QUERY_TIMEOUT_MS;
const IDLE_CONNECTION_TIMEOUT_MS = 20_000;
/** Connections are renewed after this, so that none stays with a server that a failover made read only. */
const CONNECTION_LIFETIME_SECONDS = 300;
/** Reports that may wait for their turn; they may hold half of the pool, the rest is for the ledger and the keys. */
const MAX_WAITING_REPORTS = 100;
/** A report that waits longer for its turn is refused: its caller may come back when there is less to do. */
const REPORT_WAIT_TIMEOUT_MS = 5_000;
/** Any constant will do as long as every version keeps it: the advisory lock under which the schema is migrated. */
const MIGRATION_LOCK = "5507141029581";
/** A process waits so long for another one that migrates. */
const MIGRATION_LOCK_TIMEOUT_MS = 600_000;
/** One connection is held while another one migrates. */
const MIGRATION_POOL_SIZE = 2;

/** The part of `pg` that is used here. */
interface PgQueryable {
  query(config: {
    name: string | undefined;
    text: string;
    values: unknown[];
    query_timeout: number;
  }): Promise<{ rows: SqlRow[] }>;
}
interface PgClient extends PgQueryable {
  readonly connection: { readonly stream: Socket };
  release(destroy?: boolean): void;
}
interface PgPool extends PgQueryable {
  connect(): Promise<PgClient>;
  on(event: "connect", listener: (client: PgClient) => void): unknown;
}

interface PoolConfig {
  readonly min: number;
  readonly max: number;
  readonly idleTimeoutMillis?: number;
}
interface PoolDriverOptions {
  readonly maxLifetimeSeconds: number;
  readonly onPoolCreated: (pool: PgPool) => void;
}

/** PostgreSQL behind a pool of connections, none of which is made before it is needed. */
export async function openPostgres(options: PostgresOptions): Promise<DatabaseDriver> {
  const { orm, pool } = await openPool(options, {
    pool: { min: 0, max: options.poolSize, idleTimeoutMillis: IDLE_CONNECTION_TIMEOUT_MS },
    driverOptions: { maxLifetimeSeconds: CONNECTION_LIFETIME_SECONDS, onPoolCreated: closeSilentConnections },
  });
  const slots = createSlots(Math.max(1, Math.floor(options.poolSize / 2)));
  return {
    kind: "postgres",
    orm,
    query: queryOf(pool, QUERY_TIMEOUT_MS, options.preparedStatements),
    sync: undefined,
    snapshot: (work, timeoutMs) =>
      slots.run(() => withClient(pool, (client) => snapshot(client, work, timeoutMs))),
    reading: (work) => slots.run(() => withClient(pool, (client) => work(toReadSession(client)))),
    exclusively: (work) => withMigrationPool(options, work),
    close: () => orm.close(true),
  };
}

/** Migrations may take long over a large ledger, so they have connections of their own, without time limits. */
async function withMigrationPool(
  options: PostgresOptions,
  work: (orm: SqlMikroORM) => Promise<void>,
): Promise<void> {
  const { orm, pool } = await openPool(options, { pool: { min: 0, max: MIGRATION_POOL_SIZE } });
  try {
    await withClient(pool, (client) => inTransaction(client, MIGRATION_PREPARATION, () => work(orm)));
  } finally {
    await orm.close(true);
  }
}

async function openPool(
  options: PostgresOptions,
  { pool, driverOptions }: { readonly pool: PoolConfig; readonly driverOptions?: PoolDriverOptions },
): Promise<{ readonly orm: SqlMikroORM; readonly pool: PgPool }> {
  const orm = await MikroORM.init({
    ...ormOptions(options),
    // It would connect at once, and make a database that is missing.
    ensureDatabase: false,
    clientUrl: options.url,
    pool,
    driverOptions: {
      connectionString: options.url,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      application_name: "llm-gateway",
      ...driverOptions,
    },
  });
  const connection: PostgreSqlConnection = orm.em.getConnection();
  return { orm, pool: await connection.getNativeClient() };
}

function closeSilentConnections(pool: PgPool): void {
  pool.on("connect", ({ connection: { stream } }) => {
    stream.setTimeout(SILENT_CONNECTION_TIMEOUT_MS, () =>
      stream.destroy(new Error("the connection is silent")),
    );
  });
}

interface Preparation {
  readonly statements: readonly string[];
  readonly timeoutMs: number;
}

function snapshotPreparation(timeoutMs: number): Preparation {
  return {
    statements: [
      "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
      `SET LOCAL statement_timeout = ${Math.ceil(timeoutMs)}`,
      // Compiling the forty sums of a report takes longer than most reports do.
      "SET LOCAL jit = off",
    ],
    timeoutMs: timeoutMs + SNAPSHOT_GRACE_MS,
  };
}

const MIGRATION_PREPARATION: Preparation = {
  statements: [`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`],
  timeoutMs: MIGRATION_LOCK_TIMEOUT_MS,
};

async function snapshot<T>(
  client: PgClient,
  work: (query: SqlQuery) => Promise<T>,
  timeoutMs: number = SNAPSHOT_STATEMENT_TIMEOUT_MS,
): Promise<T> {
  const preparation = snapshotPreparation(timeoutMs);
  const { stream } = client.connection;
  // A long statement is silent, too.
  if (preparation.timeoutMs > SILENT_CONNECTION_TIMEOUT_MS) stream.setTimeout(preparation.timeoutMs);
  try {
    return await inTransaction(client, preparation, work);
  } finally {
    stream.setTimeout(SILENT_CONNECTION_TIMEOUT_MS);
  }
}

function toReadSession(client: PgClient): ReadSession {
  return {
    kind: "postgres",
    query: queryOf(client, QUERY_TIMEOUT_MS, false),
    snapshot: (work) => snapshot(client, work),
  };
}

/** A connection that failed is not used again: nobody knows what it still does. */
async function withClient<T>(pool: PgPool, work: (client: PgClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let failed = false;
  try {
    return await work(client);
  } catch (error) {
    failed = !(error instanceof GatewayError);
    throw error;
  } finally {
    client.release(failed);
  }
}

async function inTransaction<T>(
  client: PgClient,
  preparation: Preparation,
  work: (query: SqlQuery) => Promise<T>,
): Promise<T> {
  const query = queryOf(client, preparation.timeoutMs, false);
  try {
    await query("BEGIN");
    for (const statement of preparation.statements) await query(statement);
    const result = await work(query);
    await query("COMMIT");
    return result;
  } catch (error) {
    await query("ROLLBACK").catch(() => {});
    throw error;
  }
}

function queryOf(target: PgQueryable, timeoutMs: number, preparedStatements: boolean): SqlQuery {
  return async (text: string, values: readonly SqlValue[] = [], statementName?: string) => {
    const name = preparedStatements ? statementName : undefined;
    const result = await target.query({ name, text, values: [...values], query_timeout: timeoutMs });
    return result.rows;
  };
}

/** Lets `count` run at once and the rest wait in order, not too many of them and not too long. */
function createSlots(count: number) {
  const waiting = new Set<() => void>();
  let free = count;

  async function take(): Promise<void> {
    if (free > 0) {
      free--;
      return;
    }
    if (waiting.size >= MAX_WAITING_REPORTS) throw overloaded();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(start);
        reject(overloaded());
      }, REPORT_WAIT_TIMEOUT_MS);
      const start = () => {
        clearTimeout(timer);
        resolve();
      };
      waiting.add(start);
    });
  }

  function giveBack(): void {
    const [next] = waiting;
    if (!next) {
      free++;
      return;
    }
    waiting.delete(next);
    next();
  }

  return {
    async run<T>(work: () => Promise<T>): Promise<T> {
      await take();
      try {
        return await work();
      } finally {
        giveBack();
      }
    },
  };
}

const overloaded = () =>
  new GatewayError("OVERLOADED", "too many reports are running", { retryAfterMs: 1_000 });
