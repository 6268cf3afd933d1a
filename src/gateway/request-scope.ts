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

export function createRequestScope(options: {
  readonly clock: Clock;
  readonly deadlineAtMs: number;
  readonly callerSignal: AbortSignal;
}): RequestScope {
  const { clock, deadlineAtMs, callerSignal } = options;
  const controller = new AbortController();
  const remainingMs = () => deadlineAtMs - clock.monotonicMs();

  const onDeadline = () => controller.abort(deadlineError());
  // The caller's signal also fires at its deadline, a little before or after our own timer, and may say so.
  const isDeadline = (): boolean => {
    const { reason } = callerSignal;
    return remainingMs() <= 1 || (reason instanceof GatewayError && reason.reason === "DEADLINE_EXCEEDED");
  };
  const onCallerGone = () => controller.abort(isDeadline() ? deadlineError() : cancelledError());

  const timer = setTimeout(onDeadline, Math.max(0, remainingMs()));
  if (callerSignal.aborted) onCallerGone();
  else callerSignal.addEventListener("abort", onCallerGone, { once: true });

  return {
    signal: controller.signal,
    remainingMs,
    endedBy() {
      // In a busy process the timer may be late; what is overdue must not be sent on.
      if (!controller.signal.aborted && remainingMs() <= 0) onDeadline();
      const reason: unknown = controller.signal.reason;
      return reason instanceof ProviderError ? reason : undefined;
    },
    dispose() {
      clearTimeout(timer);
      callerSignal.removeEventListener("abort", onCallerGone);
    },
  };
}

function deadlineError(): ProviderError {
  return new ProviderError("DEADLINE_EXCEEDED", "the deadline passed", { billing: "maybe_billed" });
}

function cancelledError(): ProviderError {
  return new ProviderError("CANCELLED", "the caller went away", { billing: "maybe_billed" });
}
