import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRetryBudget, DEFAULT_RETRY_BUDGET } from "../../../src/resilience/retry-budget.ts";

describe("the retry budget", () => {
  it("allows ten retries without any traffic, and no more", () => {
    const budget = createRetryBudget();
    const granted = Array.from({ length: 20 }, () => budget.spend()).filter(Boolean);
    expect(granted).toHaveLength(10);
  });

  it("earns one retry with five first attempts", () => {
    const budget = createRetryBudget();
    while (budget.spend());
    for (let attempt = 0; attempt < 5; attempt += 1) {
      expect(budget.spend()).toBe(false);
      budget.earn();
    }
    expect(budget.spend()).toBe(true);
    expect(budget.spend()).toBe(false);
  });

  it("saves up no more than its burst, however quiet it was", () => {
    const budget = createRetryBudget();
    for (let attempt = 0; attempt < 10_000; attempt += 1) budget.earn();
    const granted = Array.from({ length: 100 }, () => budget.spend()).filter(Boolean);
    expect(granted).toHaveLength(10);
  });

  it("never grants more than a fifth of the first attempts and the burst, in any order", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 500 }), (steps) => {
        const budget = createRetryBudget();
        let earned = 0;
        let granted = 0;
        for (const earns of steps) {
          if (earns) {
            budget.earn();
            earned += 1;
          } else if (budget.spend()) granted += 1;
        }
        const { ratio, burst } = DEFAULT_RETRY_BUDGET;
        expect(granted).toBeLessThanOrEqual(earned * ratio + burst + 1e-9);
      }),
    );
  });
});
