import type { ServerResponse } from "node:http";
import type { Bill, BillState } from "./bill.ts";
import type { Personality } from "./personalities.ts";
import type { Plan } from "./plan.ts";
import type { OpenObservation } from "./request-log.ts";
import type { Wire } from "./wire.ts";

/** Counts calls that are neither answered nor given up, so that a reader of the bill can wait for the last line. */
export class ActiveCalls {
  #count = 0;
  #waiting: (() => void)[] = [];

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    for (const wake of this.#waiting) wake();
    this.#waiting = [];
  }

  /** Resolves when no call is in progress. */
  whenIdle(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/**
 * What happens to a call, told as it happens: `arrived` before anything is done for it, `written` when the system has
 * taken a part of a delayed answer, `billed` when its line is on the bill (of a completed call: before the answer's
 * last byte is written).
 */
export interface CallEvent {
  readonly kind: "arrived" | "written" | "billed";
  readonly callId: string;
  readonly reference: string | undefined;
}

export interface ExchangeOptions {
  readonly response: ServerResponse;
  readonly observation: OpenObservation;
  readonly bill: Bill;
  readonly active: ActiveCalls;
  readonly personality: Pick<Personality, "name" | "wire">;
  /** Who pays, as on the bill. */
  readonly account: string | undefined;
  /** What the caller calls the call, as on the bill. */
  readonly reference: string | undefined;
  readonly onEvent: ((event: CallEvent) => void) | undefined;
}

type Counts = Pick<
  Plan,
  "model" | "stream" | "tokensIn" | "cachedTokensIn" | "cacheWriteTokensIn" | "tokensOut" | "reasoningTokens"
>;

const NOTHING: Counts = {
  model: "",
  stream: false,
  tokensIn: 0,
  cachedTokensIn: 0,
  cacheWriteTokensIn: 0,
  tokensOut: 0,
  reasoningTokens: 0,
};

/** One call: its response, its waits, and its single line on the bill. */
export class Exchange {
  readonly response: ServerResponse;
  readonly callId: string;
  readonly startedAt: number;
  readonly wire: Wire;
  readonly #options: ExchangeOptions;
  #counts: Counts = NOTHING;
  #generating = false;
  #settled = false;
  #watched = false;
  #gone = false;
  #wake: ((connected: boolean) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Tokens generated so far, once generation has started. */
  countGenerated: () => number = () => 0;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.response = options.response;
    this.wire = options.personality.wire;
    this.callId = options.observation.callId;
    this.startedAt = options.observation.startedAt;
    this.#tell("arrived");
  }

  #tell(kind: CallEvent["kind"]): void {
    this.#options.onEvent?.({ kind, callId: this.callId, reference: this.#options.reference });
  }

  /** States what the call is about, as soon as that is known; nothing is billed by this. */
  describe(counts: Counts): void {
    this.#counts = counts;
  }

  /**
   * Watches for the client going away. Needed before any wait; answers that are written at once do without.
   * The close also comes when the simulator itself destroys the socket: then the call is settled already.
   */
  watch(): void {
    this.#watched = true;
    this.#options.active.begin();
    this.response.once("close", () => {
      this.#gone = true;
      clearTimeout(this.#timer);
      if (!this.#settled) this.#settleAborted();
      this.#options.active.end();
      this.#wake?.(false);
    });
  }

  /** From here on the input is billed, also if the call is interrupted. */
  startGeneration(): void {
    this.#generating = true;
  }

  /** Puts the call on the bill. Called before the last byte of the answer is written; only the first call counts. */
  settle(state: BillState): void {
    this.#record(state, undefined);
  }

  /** Waits. False when the client has gone meanwhile: the call is settled and nothing may be written. */
  wait(delayMs: number): Promise<boolean> {
    if (this.#gone) return Promise.resolve(false);
    if (delayMs <= 0) return Promise.resolve(true);
    return this.#untilWoken((resolve) => {
      this.#timer = setTimeout(() => {
        this.#wake = undefined;
        resolve(true);
      }, delayMs);
    });
  }

  /** Waits until the client gives up. */
  async untilGone(): Promise<void> {
    if (!this.#gone) await this.#untilWoken(() => undefined);
  }

  /** Writes a part of the body and waits until the system has taken it all. False when the client has gone. */
  write(part: string | Uint8Array): Promise<boolean> {
    if (this.#gone) return Promise.resolve(false);
    if (part.length === 0) return Promise.resolve(true);
    return this.#untilWoken((resolve) => {
      this.response.write(part, (error) => {
        // After a failed write the close follows, and that settles the call.
        if (error) return;
        this.#wake = undefined;
        this.#tell("written");
        resolve(true);
      });
    });
  }

  #untilWoken(arm: (resolve: (connected: boolean) => void) => void): Promise<boolean> {
    if (!this.#watched) throw new Error("an exchange must be watched before it waits");
    return new Promise((resolve) => {
      this.#wake = resolve;
      arm(resolve);
    });
  }

  #settleAborted(): void {
    const abortedAfterMs = Date.now() - this.startedAt;
    this.#options.observation.abortedAfterMs = abortedAfterMs;
    this.#record("interrupted", abortedAfterMs);
  }

  #record(state: BillState, clientAbortedAfterMs: number | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    const counts = this.#counts;
    const billsInput = state === "completed" || (state === "interrupted" && this.#generating);
    const tokensOut = state === "completed" ? counts.tokensOut : billsInput ? this.countGenerated() : 0;
    const { account, reference, personality } = this.#options;
    this.#options.bill.record({
      callId: this.callId,
      ...(account === undefined ? undefined : { account }),
      ...(reference === undefined ? undefined : { reference }),
      personality: personality.name,
      model: counts.model,
      stream: counts.stream,
      tokensIn: billsInput ? counts.tokensIn : 0,
      cachedTokensIn: billsInput ? counts.cachedTokensIn : 0,
      cacheWriteTokensIn: billsInput ? counts.cacheWriteTokensIn : 0,
      tokensOut,
      reasoningTokens: Math.min(counts.reasoningTokens, tokensOut),
      state,
      startedAt: this.startedAt,
      endedAt: Date.now(),
      ...(clientAbortedAfterMs === undefined ? undefined : { clientAbortedAfterMs }),
    });
    this.#tell("billed");
  }
}
