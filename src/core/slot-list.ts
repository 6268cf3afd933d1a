/** What a `SlotList` can hold, in one list at a time. The list keeps the number; it is -1 while it is in none. */
export interface Slotted {
  slot: number;
}

/**
 * What is under way, in no order, for things that come and go by the thousand a second and that much hangs on.
 *
 * A Set would do, if V8 did not replace its table each time that enough has been taken out of it. A replaced table in the old
 * generation keeps its successor and all that was in it alive until the next full collection, so that with a Set of
 * calls each call was moved twice by the garbage collector and then kept.
 */
export class SlotList<T extends Slotted> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.slot = this.#items.length;
    this.#items.push(item);
  }

  /** Does nothing when it is not there. */
  delete(item: T): void {
    const { slot } = item;
    if (this.#items[slot] !== item) return;
    const last = this.#items.pop();
    item.slot = -1;
    if (last === undefined || last === item) return;
    this.#items[slot] = last;
    last.slot = slot;
  }

  /** Of what is there now; it may be changed meanwhile. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#items.slice().values();
  }
}
