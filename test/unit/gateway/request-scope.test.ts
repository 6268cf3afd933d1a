import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { ProviderError } from "../../../src/core/provider-error.ts";
import { createRequestScope } from "../../../src/gateway/request-scope.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const scopeOf = (options: { readonly deadlineMs: number; readonly callerSignal?: AbortSignal }) =>
  createRequestScope({
    clock: systemClock,
    deadlineAtMs: performance.now() + options.deadlineMs,
    callerSignal: options.callerSignal ?? new AbortController().signal,
  });

describe("the scope of a request", () => {
  it("ends at its deadline, with an error that says so to providers and to the chain", () => {
    const scope = scopeOf({ deadlineMs: 1_000 });
    vi.advanceTimersByTime(999);
    expect([scope.signal.aborted, scope.endedBy(), scope.remainingMs()]).toEqual([false, undefined, 1]);
    vi.advanceTimersByTime(1);
    expect(scope.signal.reason).toBeInstanceOf(ProviderError);
    expect(scope.endedBy()).toBe(scope.signal.reason);
    expect(scope.endedBy()?.reason).toBe("DEADLINE_EXCEEDED");
  });

  it("ends when the caller goes away, with another error", () => {
    const caller = new AbortController();
    const scope = scopeOf({ deadlineMs: 1_000, callerSignal: caller.signal });
    caller.abort();
    expect(scope.endedBy()?.reason).toBe("CANCELLED");
    vi.advanceTimersByTime(2_000);
    expect(scope.endedBy()?.reason).toBe("CANCELLED");
  });

  it("ends at its deadline also when the caller's signal says so a little earlier", () => {
    const caller = new AbortController();
    const scope = scopeOf({ deadlineMs: 1_000, callerSignal: caller.signal });
    vi.advanceTimersByTime(997);
    caller.abort(new GatewayError("DEADLINE_EXCEEDED", "the deadline passed"));
    expect(scope.endedBy()?.reason).toBe("DEADLINE_EXCEEDED");
  });

  it("has ended before it began when the caller is gone already", () => {
    expect(scopeOf({ deadlineMs: 1_000, callerSignal: AbortSignal.abort() }).endedBy()?.reason).toBe(
      "CANCELLED",
    );
  });

  it("has ended when its deadline passed, though a busy process has not run the timer yet", () => {
    const scope = scopeOf({ deadlineMs: 0 });
    expect(scope.endedBy()?.reason).toBe("DEADLINE_EXCEEDED");
    expect(scope.signal.aborted).toBe(true);
  });

  it("once disposed leaves no timer and hears nothing of the caller any more", () => {
    const caller = new AbortController();
    const scope = scopeOf({ deadlineMs: 1_000, callerSignal: caller.signal });
    scope.dispose();
    expect(vi.getTimerCount()).toBe(0);
    caller.abort();
    expect(scope.signal.aborted).toBe(false);
  });
});
