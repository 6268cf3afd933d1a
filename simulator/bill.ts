import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { costPicoUsd } from "./prices.ts";

/**
 * `completed`: the full answer was generated, and written or handed to the socket.
 * `interrupted`: a fault or the client ended it early.
 * `refused`: an error was answered and nothing was generated.
 */
export type BillState = "completed" | "interrupted" | "refused";

/** One call, as the provider bills it. Token counts are inclusive totals with their parts, as in `usage`. */
export interface BillLine {
  /** Also the request id header, and a part of the answer's id. */
  readonly callId: string;
  /** Who pays: `sha256:` and 12 hex digits of the hash of the `authorization` header; absent without one. */
  readonly account?: string;
  /** What follows `request=` in the request's body, by which a test tells its calls apart. */
  readonly reference?: string;
  readonly personality: string;
  /** As asked for, without a directive suffix; empty when the request named none. */
  readonly model: string;
  readonly stream: boolean;
  readonly tokensIn: number;
  readonly cachedTokensIn: number;
  readonly cacheWriteTokensIn: number;
  readonly tokensOut: number;
  readonly reasoningTokens: number;
  readonly state: BillState;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Milliseconds since 1970. */
  readonly endedAt: number;
  /** Set when the client went away before the answer was complete: milliseconds after the call's start. */
  readonly clientAbortedAfterMs?: number;
}

/** The sum of the lines of one personality and model. */
export interface BillTotal {
  readonly personality: string;
  readonly model: string;
  readonly calls: number;
  readonly tokensIn: number;
  readonly cachedTokensIn: number;
  readonly cacheWriteTokensIn: number;
  readonly tokensOut: number;
  readonly reasoningTokens: number;
  /** By the simulator's list prices; `undefined` when the model is not on the list. */
  readonly costPicoUsd: bigint | undefined;
}

export interface BillOptions {
  /** Lines are appended here as JSON, one a line, and fsynced before `record` returns. */
  readonly file?: string | undefined;
  /** Lines kept in memory, at least 1; older ones stay only in the totals and in the file. Default 200,000. */
  readonly maxLines?: number | undefined;
}

type Sums = { -readonly [Key in keyof Omit<BillTotal, "costPicoUsd">]: BillTotal[Key] };

const DEFAULT_MAX_LINES = 200_000;

function emptySums(line: BillLine): Sums {
  return {
    personality: line.personality,
    model: line.model,
    calls: 0,
    tokensIn: 0,
    cachedTokensIn: 0,
    cacheWriteTokensIn: 0,
    tokensOut: 0,
    reasoningTokens: 0,
  };
}

type TokenSums = Omit<BillTotal, "personality" | "model" | "calls" | "costPicoUsd">;

function addTo(sums: Sums, tokens: TokenSums, calls: number): void {
  sums.calls += calls;
  sums.tokensIn += tokens.tokensIn;
  sums.cachedTokensIn += tokens.cachedTokensIn;
  sums.cacheWriteTokensIn += tokens.cacheWriteTokensIn;
  sums.tokensOut += tokens.tokensOut;
  sums.reasoningTokens += tokens.reasoningTokens;
}

/** The provider's own books, kept without any knowledge of the gateway's. */
export class Bill {
  readonly #maxLines: number;
  readonly #file: number | undefined;
  readonly #sums = new Map<string, Sums>();
  #ring: BillLine[] = [];
  #recorded = 0;

  constructor(options: BillOptions = {}) {
    this.#maxLines = options.maxLines ?? DEFAULT_MAX_LINES;
    this.#file = options.file === undefined ? undefined : openSync(options.file, "a");
  }

  /** Takes one line; with a file, returns when it is durable. */
  record(line: BillLine): void {
    if (this.#file !== undefined) {
      writeSync(this.#file, `${JSON.stringify(line)}\n`);
      fsyncSync(this.#file);
    }
    this.#ring[this.#recorded % this.#maxLines] = line;
    this.#recorded += 1;
    const key = `${line.state} ${line.personality} ${line.model}`;
    let sums = this.#sums.get(key);
    if (!sums) {
      sums = emptySums(line);
      this.#sums.set(key, sums);
    }
    addTo(sums, line, 1);
  }

  /** The kept lines, oldest first. */
  get lines(): readonly BillLine[] {
    const oldest = this.#recorded % this.#maxLines;
    if (this.#recorded <= this.#maxLines) return this.#ring.slice();
    return [...this.#ring.slice(oldest), ...this.#ring.slice(0, oldest)];
  }

  /** How many lines are no longer in `lines`; the totals still hold them. */
  get droppedLines(): number {
    return Math.max(0, this.#recorded - this.#maxLines);
  }

  /** Totals by personality and model over all lines ever recorded, or over those of one state. */
  totals(state?: BillState): readonly BillTotal[] {
    const merged = new Map<string, Sums>();
    for (const [stateAndKey, sums] of this.#sums) {
      if (state !== undefined && !stateAndKey.startsWith(`${state} `)) continue;
      const key = `${sums.personality} ${sums.model}`;
      const total = merged.get(key);
      if (total) addTo(total, sums, sums.calls);
      else merged.set(key, { ...sums });
    }
    return [...merged.values()].map((total) => ({
      ...total,
      costPicoUsd: costPicoUsd(total.personality, total.model, total),
    }));
  }

  /** Forgets lines and totals; the file keeps what it has. */
  clear(): void {
    this.#ring = [];
    this.#recorded = 0;
    this.#sums.clear();
  }

  /** Closes the file. Nothing may be recorded afterwards. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }
}
