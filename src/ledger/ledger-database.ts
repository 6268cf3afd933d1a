/** What a statement may be given as a parameter: text, numbers, flags, lists of texts. */
export type SqlValue = string | number | boolean | null | readonly string[];

/** A row as the driver returns it; what the two drivers disagree about (int8, NUMERIC, times) is cast in the text. */
export type SqlRow = Readonly<Record<string, unknown>>;

/** Runs one statement with bound parameters (`$1`, …). One that runs often has a name, so that its plan can be kept. */
export type SqlQuery = (
  text: string,
  values?: readonly SqlValue[],
  statementName?: string,
) => Promise<readonly SqlRow[]>;

/** Reads on one connection; `ReadSession` of `db/` is one. */
export interface LedgerReadSession {
  readonly kind: "pglite" | "postgres";
  readonly query: SqlQuery;
  /** Reads that see one state and may not take for ever. */
  snapshot<T>(work: (query: SqlQuery) => Promise<T>): Promise<T>;
}

/** What the ledger needs of a database; `Database` of `db/` is one. */
export interface LedgerDatabase {
  /** `pglite` runs one statement after the other. */
  readonly kind: "pglite" | "postgres";
  /** One statement, which is its own transaction. */
  readonly query: SqlQuery;
  /** Puts every commit so far on the disk; undefined when a commit is there once it is answered. */
  readonly sync: (() => Promise<void>) | undefined;
  /**
   * Reads that see one state, may not take for ever, and leave connections for the writer.
   * @param timeoutMs of each statement @default 25 s; the embedded database knows no such limit
   */
  snapshot<T>(work: (query: SqlQuery) => Promise<T>, timeoutMs?: number): Promise<T>;
  /** All that one report reads by. Only few run at the same time, so that the writer is never left without one. */
  reading<T>(work: (session: LedgerReadSession) => Promise<T>): Promise<T>;
}
