/**
 * Adds counts of tokens that a provider states apart. What is not a count is returned instead of the sum, so that
 * the check of the usage finds it; undefined when none is stated.
 */
export function sumOfCounts(counts: readonly unknown[]): unknown {
  let sum: number | undefined;
  for (const count of counts) {
    if (count === undefined || count === null) continue;
    if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 0) return count;
    sum = (sum ?? 0) + count;
  }
  return sum;
}
