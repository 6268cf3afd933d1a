import type { JournalOperation, JournalRow } from "./journal-store.ts";

/** Some 5 MB: a second of 1,000 requests a second, which is far more than waits while the database answers. */
const MAX_ROWS = 2_000;

/**
 * The rows that became durable last, as they were written. The database is given them from here: reading them back
 * from the file, through another thread, costs 10 µs for each request.
 */
export class JournalTail {
  /** Without gaps, in the order of their sequence. */
  #rows: JournalRow[] = [];

  /** Takes the rows of a commit, the last of which has the sequence. */
  committed(operations: readonly JournalOperation[], lastSequence: number): void {
    const rows = operations.filter((operation) => operation.kind === "row");
    if (rows.length === 0) return;
    // One commit numbers its rows without gaps.
    const before = lastSequence - rows.length;
    // What a commit wrote that seemed to fail has sequences, too, and is only in the file.
    const continues = this.#rows.at(-1)?.sequence === before;
    if (!continues || this.#rows.length + rows.length > MAX_ROWS) this.#rows = [];
    if (rows.length > MAX_ROWS) return;
    const writtenAtMs = Date.now();
    let sequence = before;
    for (const { table, json, priceId } of rows) {
      sequence += 1;
      this.#rows.push({ sequence, table, json, priceId, writtenAtMs });
    }
  }

  /** The first rows after a sequence, whose forerunners are forgotten; undefined when the first is not kept. */
  take(afterSequence: number, limit: number): readonly JournalRow[] | undefined {
    const first = this.#rows[0]?.sequence;
    if (first === undefined || first > afterSequence + 1) return undefined;
    this.#rows.splice(0, afterSequence + 1 - first);
    return this.#rows.length === 0 ? undefined : this.#rows.slice(0, limit);
  }
}
