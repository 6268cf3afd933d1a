/** Which limit of a call ran out; the value of the error metadata `timeout`. */
export type TimeoutPhase = "connect" | "first_token" | "idle" | "total";

/** Longest delay that `setTimeout` takes; a longer one would fire at once. */
const MAX_DELAY_MS = 2_147_483_647;

export interface PhaseTimerOptions {
  /** Limit of the whole call, counted from the construction. */
  readonly totalMs: number;
  /** Called at most once, and never after `clear`. */
  readonly onTimeout: (phase: TimeoutPhase, limitMs: number) => void;
}

/**
 * All the limits of one call on one native timer. A limit that moves to a later instant costs nothing: the timer
 * fires at the earlier one, sees that time is left, and arms itself again. So an idle limit that restarts with
 * every event of a stream arms a timer once per idle period, not once per event.
 */
export class PhaseTimer {
  readonly startedMs: number = performance.now();
  readonly #options: PhaseTimerOptions;
  readonly #totalDueMs: number;
  #phase: TimeoutPhase = "total";
  #phaseLimitMs = Number.POSITIVE_INFINITY;
  #phaseDueMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;
  #cleared = false;

  constructor(options: PhaseTimerOptions) {
    this.#options = options;
    this.#totalDueMs = this.startedMs + options.totalMs;
  }

  /** Replaces the limit of the phase before. `fromMs` is on the monotonic clock; the default is now. */
  enter(phase: TimeoutPhase, limitMs: number, fromMs: number = performance.now()): void {
    if (this.#cleared) return;
    this.#phase = phase;
    this.#phaseLimitMs = limitMs;
    this.#phaseDueMs = fromMs + limitMs;
    this.#arm();
  }

  clear(): void {
    this.#cleared = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    const dueMs = Math.min(this.#phaseDueMs, this.#totalDueMs);
    if (this.#timer !== undefined && this.#armedForMs <= dueMs) return;
    clearTimeout(this.#timer);
    this.#armedForMs = dueMs;
    const delayMs = Math.min(Math.max(dueMs - performance.now(), 0), MAX_DELAY_MS);
    this.#timer = setTimeout(this.#fire, delayMs);
  }

  readonly #fire = (): void => {
    if (this.#cleared) return;
    this.#timer = undefined;
    this.#armedForMs = Number.POSITIVE_INFINITY;
    const nowMs = performance.now();
    if (nowMs >= this.#totalDueMs) {
      this.clear();
      this.#options.onTimeout("total", this.#options.totalMs);
    } else if (nowMs >= this.#phaseDueMs) {
      this.clear();
      this.#options.onTimeout(this.#phase, this.#phaseLimitMs);
    } else {
      this.#arm();
    }
  };
}
