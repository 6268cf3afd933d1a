import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { beforeAbort } from "../../../src/resilience/before-abort.ts";
import { sleep } from "../../../src/resilience/sleep.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a sleep", () => {
  it("takes its time and leaves nothing behind", async () => {
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, "removeEventListener");
    const slept = sleep(500, signal);
    await vi.advanceTimersByTimeAsync(499);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await slept).toBe(true);
    expect(remove).toHaveBeenCalledOnce();
  });

  it("ends at once when the signal aborts", async () => {
    const controller = new AbortController();
    const slept = sleep(10_000, controller.signal);
    controller.abort();
    expect(await slept).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not begin when the signal was aborted before", async () => {
    expect(await sleep(10_000, AbortSignal.abort())).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("work that is waited for until an abort", () => {
  const never = new Promise<void>(() => {});

  it("is done, or not, whichever comes first", async () => {
    const controller = new AbortController();
    expect(await beforeAbort(Promise.resolve(), controller.signal)).toBe(true);
    const waiting = beforeAbort(never, controller.signal);
    controller.abort();
    expect(await waiting).toBe(false);
    expect(await beforeAbort(Promise.resolve(), controller.signal)).toBe(false);
  });

  it("fails as it fails, and stays so when the signal aborts afterwards", async () => {
    const controller = new AbortController();
    const waiting = beforeAbort(Promise.reject(new RangeError("no")), controller.signal);
    await expect(waiting).rejects.toThrow("no");
    controller.abort();
    await expect(waiting).rejects.toThrow("no");
  });

  it("that fails after the abort fails unheard", async () => {
    const controller = new AbortController();
    const { promise: work, reject } = Promise.withResolvers<void>();
    const waiting = beforeAbort(work, controller.signal);
    controller.abort();
    expect(await waiting).toBe(false);
    reject(new Error("too late"));
    await vi.advanceTimersByTimeAsync(0);
  });
});
