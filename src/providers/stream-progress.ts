import type { FinishReason, StreamDelta } from "../core/completion.ts";
import type { PicoUsd } from "../core/money.ts";
import type { UsageReport } from "../core/usage.ts";
import type { FinishFailure } from "./finish-failure.ts";
import type { SeenSoFar } from "./map-error.ts";

/** What is known of one stream so far. The dialect's reader writes to it, event by event. */
export class StreamProgress {
  /** By choice; undefined for a choice that has begun and not ended. */
  readonly finishReasons = new Map<number, FinishReason | undefined>();
  responseModel: string | undefined;
  providerStatus: number | undefined;
  providerRequestId: string | undefined;
  providerCostPicoUsd: PicoUsd | undefined;
  /** The provider charges beside the tokens, or otherwise: tools of its own, another tier. */
  chargesBeyondTokens = false;
  /** A finish reason that means a failure; told at the end, since the usage may come after it. */
  failure: (FinishFailure & { readonly finishReason: string }) | undefined;
  #statedUsage: UsageReport = { kind: "absent" };
  #deltasBeforeUsage = 0;
  #batch: StreamDelta[] = [];
  #outputBytes = 0;
  #deltas = 0;

  get outputBytes(): number {
    return this.#outputBytes;
  }

  get deltas(): number {
    return this.#deltas;
  }

  /** Some providers state the usage with every chunk. What came after the last statement is not in it. */
  get usage(): UsageReport {
    const stated = this.#statedUsage;
    const isFinal = this.#deltas === this.#deltasBeforeUsage;
    return stated.kind === "reported" && !isFinal ? { ...stated, kind: "so_far" } : stated;
  }

  /** The usage stated last counts, of all that was pushed until now; one that states none takes nothing back. */
  stateUsage(usage: UsageReport): void {
    if (usage.kind === "absent") return;
    this.#statedUsage = usage;
    this.#deltasBeforeUsage = this.#deltas;
  }

  get seen(): SeenSoFar {
    return {
      usage: this.usage,
      providerCostPicoUsd: this.providerCostPicoUsd,
      chargesBeyondTokens: this.chargesBeyondTokens,
      received: { outputBytes: this.#outputBytes, deltas: this.#deltas },
      providerStatus: this.providerStatus,
      providerRequestId: this.providerRequestId,
    };
  }

  /** The choice exists: the stream is not whole before it has a finish reason. */
  begin(choiceIndex: number): void {
    if (!this.finishReasons.has(choiceIndex)) this.finishReasons.set(choiceIndex, undefined);
  }

  /** `output` is the text that the delta carries, for estimates. */
  push(delta: StreamDelta, output: string): void {
    this.#batch.push(delta);
    this.#deltas += 1;
    this.#outputBytes += Buffer.byteLength(output);
  }

  /** The deltas since it was called last. */
  takeBatch(): readonly StreamDelta[] {
    const batch = this.#batch;
    this.#batch = [];
    return batch;
  }
}
