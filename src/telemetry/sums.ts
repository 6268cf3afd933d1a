type Node<S> = Map<string, Node<S>> & { sums?: S };

/**
 * Sums for each combination of a few texts. Counters of prom-client make an object, a text of all labels and a look-up of it
 * for each increment; a call would need ten. Here it needs a look-up for all that it counts under one combination, and the
 * counters are told when somebody looks.
 */
export class SumsByValues<S extends Record<string, number>> {
  readonly #zero: Readonly<S>;
  readonly #root: Node<S> = new Map();
  readonly #all: { readonly values: readonly string[]; readonly sums: S }[] = [];

  constructor(zero: Readonly<S>) {
    this.#zero = zero;
  }

  /** To be added to. How many combinations there can be is for the caller to bound. */
  of(values: readonly string[]): S {
    let node = this.#root;
    for (const value of values) {
      let next = node.get(value);
      if (!next) {
        next = new Map();
        node.set(value, next);
      }
      node = next;
    }
    if (!node.sums) {
      node.sums = { ...this.#zero };
      this.#all.push({ values, sums: node.sums });
    }
    return node.sums;
  }

  /** Hands over what has been added since the last time. */
  take(tell: (values: readonly string[], sums: Readonly<S>) => void): void {
    for (const { values, sums } of this.#all) {
      tell(values, sums);
      Object.assign(sums, this.#zero);
    }
  }
}
