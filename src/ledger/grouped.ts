/** More in one statement would take long, and hold up those that come after. */
const MAX_GROUP = 500;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One statement for all that gathers while the last one runs. `run` gives a result for each item, in their order; when
 * it throws, all of them fail.
 */
export function createGrouped<Item, Result>(
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
): { add(item: Item): Promise<Result>; readonly waiting: number } {
  let queue: Waiting<Item, Result>[] = [];
  let running = false;

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      const group = queue.slice(0, MAX_GROUP);
      queue = queue.slice(MAX_GROUP);
      try {
        const results = await run(group.map(({ item }) => item));
        if (results.length !== group.length) throw new RangeError("not one result for each item");
        for (const [index, result] of results.entries()) group[index]?.resolve(result);
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    running = false;
  }

  return {
    add(item) {
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      queue.push({ item, resolve, reject });
      if (!running) {
        running = true;
        // What comes in this turn of the event loop shares the first statement.
        setImmediate(() => void drain());
      }
      return promise;
    },
    get waiting() {
      return queue.length;
    },
  };
}
