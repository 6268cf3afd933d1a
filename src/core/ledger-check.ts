/** One check of the books. */
export interface LedgerCheck {
  readonly name: string;
  /** Rows, groups or records, depending on the check. */
  readonly compared: bigint;
  /** How many of them differ. */
  readonly differing: bigint;
  /** What is worth knowing and no difference. */
  readonly noted: bigint;
}

/** One thing that differs. */
export interface LedgerDifference {
  readonly check: string;
  /** What it is about, e.g. an attempt id. */
  readonly key: string;
  readonly expected: string;
  readonly found: string;
}

export interface LedgerVerification {
  /** Whether nothing differs. */
  readonly ok: boolean;
  readonly checks: readonly LedgerCheck[];
  /** At most 100 of each check. */
  readonly differences: readonly LedgerDifference[];
  readonly start: Date;
  readonly end: Date;
}

/** An interval `[start, end)`; undefined ends are open. */
export interface VerifiedInterval {
  readonly start: Date | undefined;
  readonly end: Date | undefined;
}

export interface LedgerVerifier {
  /**
   * Checks the books; changes nothing.
   * @param timeoutMs for each statement
   * @throws GatewayError INVALID_REQUEST, DEADLINE_EXCEEDED, OVERLOADED, LEDGER_UNAVAILABLE
   */
  verify(interval: VerifiedInterval, timeoutMs: number): Promise<LedgerVerification>;
}
