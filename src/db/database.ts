import type { EntityManager } from "@mikro-orm/core";
import type { SqlMikroORM } from "@mikro-orm/sql";

/** What a statement may be given as a parameter. A list becomes `text[]`; `bigint` and numbers need a cast in the text. */
export type SqlValue = string | number | boolean | null | readonly string[];

/** A row as the driver returns it. Cast int8 and NUMERIC to text: the two drivers disagree about them. */
export type SqlRow = Readonly<Record<string, unknown>>;

/**
 * Runs one statement with bound parameters (`$1`, …); nothing of a value is ever put into the text. A statement that
 * runs often gets a name, one for each text, so that the server may keep its plan.
 */
export type SqlQuery = (
  text: string,
  values?: readonly SqlValue[],
  statementName?: string,
) => Promise<readonly SqlRow[]>;

/** Reads on one connection. */
export interface ReadSession {
  readonly kind: "pglite" | "postgres";
  readonly query: SqlQuery;
  /** As that of the database; one at a time. */
  snapshot<T>(work: (query: SqlQuery) => Promise<T>): Promise<T>;
}

/** An open database whose schema is up to date. */
export interface Database {
  /** `pglite` has one connection: everything on it runs one after the other. */
  readonly kind: "pglite" | "postgres";
  readonly orm: SqlMikroORM;
  /** A forked EntityManager for one unit of work. */
  em(): EntityManager;
  /** One statement, which is its own transaction. */
  readonly query: SqlQuery;
  /**
   * Several reads of one and the same state (REPEATABLE READ, read only). Inside, use only the query that is given:
   * the others would wait for this one's end, and on PGlite for ever.
   * @param timeoutMs of each statement, 25 s by default; the embedded database knows no such limit
   * @throws GatewayError OVERLOADED when too many wait already, or none came to its end in time
   */
  snapshot<T>(work: (query: SqlQuery) => Promise<T>, timeoutMs?: number): Promise<T>;
  /**
   * Gives a report all that it reads by. Few have a connection at the same time, so that reports keep nobody else
   * waiting, however many there are and however slow the server is. Do not nest it.
   * @throws GatewayError OVERLOADED, as `snapshot`
   */
  reading<T>(work: (session: ReadSession) => Promise<T>): Promise<T>;
  /**
   * Resolves when every commit so far would survive a power loss. Undefined when that holds once a commit is
   * answered, and in memory, where nothing survives.
   */
  readonly sync: (() => Promise<void>) | undefined;
  /** Resolves when the database answers. */
  ping(): Promise<void>;
  /** Closes every connection; what is running ends first. */
  close(): Promise<void>;
}

/** What a driver contributes to a `Database`. */
export interface DatabaseDriver extends Omit<Database, "ping" | "em"> {
  /** Runs `work` while no other process migrates the same database. What it does may take as long as it needs. */
  exclusively(work: (orm: SqlMikroORM) => Promise<void>): Promise<void>;
}

/** What both drivers need to build their ORM. */
export interface DriverOptions {
  readonly entities: readonly Entity[];
  /** What the driver has to say, e.g. a connection that the server closed. */
  readonly onWarning: (message: string) => void;
}

/** An entity as `defineEntity` makes it. */
export type Entity = NonNullable<ConstructorParameters<typeof SqlMikroORM>[0]["entities"]>[number];
