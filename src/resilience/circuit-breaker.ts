import type { Clock } from "../core/clock.ts";
import type { BreakerState } from "../core/telemetry.ts";

export interface CircuitBreakerOptions {
  /** Opens after so many failures in a row. */
  readonly consecutiveFailures: number;
  /** Opens when at least this share of the calls in the window failed … */
  readonly failureRatio: number;
  /** … of at least so many. */
  readonly minimumCalls: number;
  readonly windowMs: number;
  /** How long it stays open; doubles each time a probe fails. */
  readonly openMs: number;
  readonly maxOpenMs: number;
}

export const DEFAULT_CIRCUIT_BREAKER: CircuitBreakerOptions = {
  consecutiveFailures: 5,
  failureRatio: 0.5,
  minimumCalls: 20,
  windowMs: 30_000,
  openMs: 5_000,
  maxOpenMs: 60_000,
};

/** A permission to call. Exactly one of its methods is called, once. */
export interface BreakerPermit {
  succeeded(): void;
  failed(): void;
  /** The call says nothing about the provider's health: refused as invalid, cancelled by the caller. */
  neutral(): void;
}

/**
 * Open: no calls. After `openMs` one probe is let through (half-open) while all others are refused at once: a probe
 * of an LLM may take half a minute, which nobody should have to wait for. A probe that has no outcome after another
 * `openMs` (a long stream may run for many minutes) no longer holds back the next one.
 */
export interface CircuitBreaker {
  readonly state: BreakerState;
  /** True while `tryAcquire` would give no permission. Asking changes nothing. */
  readonly refuses: boolean;
  /** Undefined while it is open. */
  tryAcquire(): BreakerPermit | undefined;
}

export function createCircuitBreaker(
  clock: Clock,
  onStateChange: (state: BreakerState) => void,
  options: CircuitBreakerOptions = DEFAULT_CIRCUIT_BREAKER,
): CircuitBreaker {
  let state: BreakerState = "closed";
  let consecutive = 0;
  let windowStartMs = clock.monotonicMs();
  let calls = 0;
  let failures = 0;
  let openMs = options.openMs;
  let openedAtMs = 0;
  let probe: { readonly startedAtMs: number } | undefined;
  // Permits given out before the state last changed no longer move it.
  let generation = 0;

  const setState = (next: BreakerState) => {
    generation += 1;
    probe = undefined;
    state = next;
    onStateChange(next);
  };

  const countCall = (failed: boolean) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - windowStartMs > options.windowMs) {
      windowStartMs = nowMs;
      calls = 0;
      failures = 0;
    }
    calls += 1;
    failures += failed ? 1 : 0;
    consecutive = failed ? consecutive + 1 : 0;
  };

  const shouldOpen = () =>
    consecutive >= options.consecutiveFailures ||
    (calls >= options.minimumCalls && failures / calls >= options.failureRatio);

  const open = () => {
    openedAtMs = clock.monotonicMs();
    setState("open");
  };

  const close = () => {
    consecutive = 0;
    calls = 0;
    failures = 0;
    openMs = options.openMs;
    setState("closed");
  };

  const closedPermit = (): BreakerPermit => {
    const given = generation;
    return {
      succeeded: () => {
        if (given === generation) countCall(false);
      },
      failed: () => {
        if (given !== generation) return;
        countCall(true);
        if (shouldOpen()) open();
      },
      neutral: () => {},
    };
  };

  const isProbing = () => probe !== undefined && clock.monotonicMs() - probe.startedAtMs < openMs;

  const probePermit = (): BreakerPermit => {
    const given = generation;
    const own = { startedAtMs: clock.monotonicMs() };
    probe = own;
    return {
      succeeded: () => {
        if (given === generation) close();
      },
      failed: () => {
        if (given !== generation) return;
        openMs = Math.min(options.maxOpenMs, openMs * 2);
        open();
      },
      neutral: () => {
        if (probe === own) probe = undefined;
      },
    };
  };

  const refuses = () => (state === "open" ? clock.monotonicMs() - openedAtMs < openMs : isProbing());

  return {
    get state() {
      return state;
    },
    get refuses() {
      return refuses();
    },
    tryAcquire() {
      if (state === "closed") return closedPermit();
      if (refuses()) return undefined;
      if (state === "open") setState("half_open");
      return probePermit();
    },
  };
}
