import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { ProviderError } from "../core/provider-error.ts";

/** The lifetime of one request: its deadline and its caller, joined in one signal. */
export interface RequestScope {
  /** Aborted at the deadline or when the caller goes away; its reason is a ProviderError that says which. */
  readonly signal: AbortSignal;
  remainingMs(): number;
  /** The error to end with, once the deadline has passed or the caller is gone. */
  endedBy(): ProviderError | undefined;
  /** Stops the timer. Call it when the request is over. */
  dispose(): void;
}

export interface RequestScopeOptions {
  readonly clock: Clock;
  readonly deadlineAtMs: number;
  readonly callerSignal: AbortSignal;
}

export function createRequestScope(options: RequestScopeOptions): RequestScope {
  return new TimedScope(options);
}

class TimedScope implements RequestScope {
  readonly #clock: Clock;
  readonly #deadlineAtMs: number;
  readonly #callerSignal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor({ clock, deadlineAtMs, callerSignal }: RequestScopeOptions) {
    this.#clock = clock;
    this.#deadlineAtMs = deadlineAtMs;
    this.#callerSignal = callerSignal;
    this.#timer = setTimeout(() => this.#onDeadline(), Math.max(0, this.remainingMs()));
    if (callerSignal.aborted) this.#onCallerGone();
    else callerSignal.addEventListener("abort", this.#onCallerGone, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  remainingMs(): number {
    return this.#deadlineAtMs - this.#clock.monotonicMs();
  }

  endedBy(): ProviderError | undefined {
    const { signal } = this.#controller;
    // In a busy process the timer may be late; what is overdue must not be sent on.
    if (!signal.aborted && this.remainingMs() <= 0) this.#onDeadline();
    const reason: unknown = signal.reason;
    return reason instanceof ProviderError ? reason : undefined;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#callerSignal.removeEventListener("abort", this.#onCallerGone);
  }

  #onDeadline(): void {
    this.#controller.abort(deadlineError());
  }

  readonly #onCallerGone = (): void => {
    this.#controller.abort(this.#isDeadline() ? deadlineError() : cancelledError());
  };

  /** The caller's signal also fires at its deadline, a little before or after our own timer, and may say so. */
  #isDeadline(): boolean {
    const { reason } = this.#callerSignal;
    return (
      this.remainingMs() <= 1 || (reason instanceof GatewayError && reason.reason === "DEADLINE_EXCEEDED")
    );
  }
}

function deadlineError(): ProviderError {
  return new ProviderError("DEADLINE_EXCEEDED", "the deadline passed", { billing: "maybe_billed" });
}

function cancelledError(): ProviderError {
  return new ProviderError("CANCELLED", "the caller went away", { billing: "maybe_billed" });
}
