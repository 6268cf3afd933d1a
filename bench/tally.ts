/** How many calls went how. */
export class Tally {
  succeeded = 0;
  readonly failures = new Map<string, number>();

  add(failure: string | undefined): void {
    if (failure === undefined) this.succeeded += 1;
    else this.failures.set(failure, (this.failures.get(failure) ?? 0) + 1);
  }

  get failed(): number {
    let sum = 0;
    for (const count of this.failures.values()) sum += count;
    return sum;
  }

  get calls(): number {
    return this.succeeded + this.failed;
  }
}
