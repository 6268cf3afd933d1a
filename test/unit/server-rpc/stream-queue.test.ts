import { describe, expect, test } from "vitest";
import { MAX_QUEUED_BYTES, StreamQueue } from "../../../src/server/rpc/stream-queue.ts";

describe("a stream queue", () => {
  test("hands out what was pushed before and after it is asked, in order", async () => {
    const queue = new StreamQueue<number>();
    queue.push(1, 10);
    queue.push(2, 10);
    expect([await queue.next(), await queue.next()]).toEqual([
      { done: false, value: 1 },
      { done: false, value: 2 },
    ]);
    const waiting = queue.next();
    queue.push(3, 10);
    expect(await waiting).toEqual({ done: false, value: 3 });
    queue.end();
    expect(await queue.next()).toEqual({ done: true, value: undefined });
  });

  test("holds the writer back while too much waits to be read", async () => {
    const queue = new StreamQueue<number>();
    queue.push(1, MAX_QUEUED_BYTES);
    expect(queue.full()).toBeUndefined();
    let released = false;
    queue.push(2, 1);
    const held = queue.full()?.then(() => {
      released = true;
    });
    await Promise.resolve();
    expect(released).toBe(false);
    await queue.next();
    await held;
    expect(released).toBe(true);
    expect(queue.full()).toBeUndefined();
  });

  test("lets a held writer go when the reader leaves, and takes nothing more", async () => {
    const queue = new StreamQueue<number>();
    queue.push(1, MAX_QUEUED_BYTES + 1);
    const held = queue.full();
    await queue.return();
    await held;
    queue.push(2, MAX_QUEUED_BYTES + 1);
    expect(queue.full()).toBeUndefined();
    expect(queue.unread).toBeUndefined();
    expect((await queue.next()).done).toBe(true);
  });

  test("gives the error after what is queued, once", async () => {
    const queue = new StreamQueue<number>();
    queue.push(1, 1);
    queue.end(new Error("broken"));
    expect((await queue.next()).value).toBe(1);
    await expect(queue.next()).rejects.toThrow("broken");
    expect((await queue.next()).done).toBe(true);
  });

  test("gives the error to a reader that waits", async () => {
    const queue = new StreamQueue<number>();
    const waiting = queue.next();
    queue.end(new Error("broken"));
    await expect(waiting).rejects.toThrow("broken");
  });

  test("says its last word when it is cut short, unless nothing was said before", async () => {
    const silent = new StreamQueue<string>();
    silent.lastWord = () => "finished";
    silent.cutShort(new Error("late"));
    await expect(silent.next()).rejects.toThrow("late");

    const begun = new StreamQueue<string>();
    begun.lastWord = () => "finished";
    begun.push("started", 1);
    begun.cutShort(new Error("late"));
    begun.push("too late", 1);
    expect((await begun.next()).value).toBe("started");
    expect((await begun.next()).value).toBe("finished");
    await expect(begun.next()).rejects.toThrow("late");
  });

  test("lets the newest unread message grow", async () => {
    const queue = new StreamQueue<{ text: string }>();
    expect(queue.unread).toBeUndefined();
    queue.push({ text: "a" }, 1);
    const { unread } = queue;
    if (unread) unread.text += "b";
    queue.grew(MAX_QUEUED_BYTES);
    expect(queue.full()).toBeInstanceOf(Promise);
    expect((await queue.next()).value).toEqual({ text: "ab" });
    expect(queue.unread).toBeUndefined();
    expect(queue.full()).toBeUndefined();
  });
});
