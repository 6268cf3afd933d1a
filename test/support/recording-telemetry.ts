import type { AttemptOutcome } from "../../src/core/ledger.ts";
import type {
  AttemptTelemetry,
  BreakerState,
  DrainEnd,
  ReplayOutcome,
  RequestTelemetry,
  Telemetry,
} from "../../src/core/telemetry.ts";

type Argument<K extends "retryScheduled" | "fellBack" | "attemptStarted" | "hedged"> = Parameters<
  RequestTelemetry[K]
>[0];

/** Telemetry that keeps what it is told. One object stands for the process and for every request. */
export class RecordingTelemetry implements Telemetry, RequestTelemetry {
  readonly traceId = "0af7651916cd43dd8448eb211c80319c";
  readonly breakerStates: {
    readonly provider: string;
    readonly model: string;
    readonly state: BreakerState;
  }[] = [];
  readonly started: Argument<"attemptStarted">[] = [];
  readonly ended: AttemptOutcome[] = [];
  readonly drainEnds: DrainEnd[] = [];
  /** What each attempt cost in the end: of a drained call what was told last. */
  readonly final: AttemptOutcome[] = [];
  readonly firstTokensMs: number[] = [];
  readonly retries: Argument<"retryScheduled">[] = [];
  readonly fallbacks: Argument<"fellBack">[] = [];
  readonly hedges: Argument<"hedged">[] = [];
  readonly refusedQuotas: string[] = [];
  readonly replays: ReplayOutcome[] = [];

  requestStarted(): RequestTelemetry {
    return this;
  }

  breakerChanged(change: (typeof this.breakerStates)[number]): void {
    this.breakerStates.push(change);
  }

  ledgerWriteFailed(): void {}

  authenticated(): void {}

  attemptStarted(attempt: Argument<"attemptStarted">): AttemptTelemetry {
    this.started.push(attempt);
    return {
      traceHeaders: { traceparent: `00-${this.traceId}-00f067aa0ba902b7-01` },
      firstToken: (ms) => void this.firstTokensMs.push(ms),
      finished: (outcome, toBeDrained = false) => {
        this.ended.push(outcome);
        if (!toBeDrained) this.final.push(outcome);
      },
      drained: (end, inForce) => {
        this.drainEnds.push(end);
        this.final.push(inForce);
      },
    };
  }

  retryScheduled(retry: Argument<"retryScheduled">): void {
    this.retries.push(retry);
  }

  fellBack(fallback: Argument<"fellBack">): void {
    this.fallbacks.push(fallback);
  }

  hedged(hedge: Argument<"hedged">): void {
    this.hedges.push(hedge);
  }

  ledgerWriteStarted(): () => void {
    return () => {};
  }

  rateLimited(quotaId: string): void {
    this.refusedQuotas.push(quotaId);
  }

  replayed(outcome: ReplayOutcome): void {
    this.replays.push(outcome);
  }

  finished(): void {}
}
