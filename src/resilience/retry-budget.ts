export interface RetryBudgetOptions {
  /** Retries as a share of first attempts. */
  readonly ratio: number;
  /** Retries that are allowed however little traffic there is. */
  readonly burst: number;
}

/** At most 20 % extra load, and never fewer than ten retries saved up. */
export const DEFAULT_RETRY_BUDGET: RetryBudgetOptions = { ratio: 0.2, burst: 10 };

/**
 * Keeps retries from multiplying the load on a provider that is already unwell: every first attempt earns a
 * fraction of a retry, every retry spends one. Shared by the whole process.
 */
export interface RetryBudget {
  /** A first attempt was made. */
  earn(): void;
  /** Takes one retry; false when none is left. */
  spend(): boolean;
}

export function createRetryBudget(options: RetryBudgetOptions = DEFAULT_RETRY_BUDGET): RetryBudget {
  let balance = options.burst;
  return {
    earn() {
      balance = Math.min(options.burst, balance + options.ratio);
    },
    spend() {
      if (balance < 1) return false;
      balance -= 1;
      return true;
    },
  };
}
