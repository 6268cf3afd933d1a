import type { StreamDelta } from "./completion.ts";
import type { ErrorReason } from "./error-table.ts";
import type { AttemptReport, CompletionResult, EmbeddingResult, StreamResult } from "./gateway.ts";

/** Names one call for good: a request id that its caller chose, and what the call asks for. */
export interface Claim {
  readonly apiKeyId: string;
  readonly requestId: string;
  /** Of the method and the content; two calls with the same one ask for the same. */
  readonly fingerprint: string;
}

/** What a stream delivered, in as few pieces as tell the same. */
export interface Delivered {
  readonly provider: string;
  readonly model: string;
  readonly deltas: readonly StreamDelta[];
}

/** How a call ended, with all that its caller was told: what a repetition is told again. */
export type Conclusion =
  | { readonly kind: "completed"; readonly result: Omit<CompletionResult, "replayed"> }
  | { readonly kind: "embedded"; readonly result: Omit<EmbeddingResult, "replayed"> }
  | {
      readonly kind: "streamed";
      readonly delivered: Delivered;
      readonly result: Omit<StreamResult, "replayed">;
    }
  | {
      readonly kind: "failed";
      readonly reason: ErrorReason;
      readonly message: string;
      readonly metadata: Readonly<Record<string, string>>;
      readonly attempts: readonly AttemptReport[];
      /** Of a stream that had begun. */
      readonly delivered: Delivered | undefined;
    };

/** The end of a claimed call, for the ledger to keep together with the request's row. */
export interface Ending {
  readonly claim: Claim;
  /**
   * `forgotten`: nothing was spent, and a repetition runs anew. `not_kept`: it ended, but its answer is too large to
   * be kept.
   */
  readonly conclusion: Conclusion | "forgotten" | "not_kept";
}

/** What is remembered of an earlier call with the same key and request id. */
export interface Remembered {
  readonly fingerprint: string;
  /** `unknown`: the process died in the midst of it. `not_kept`: it ended, but its answer is gone, or was too large. */
  readonly conclusion: Conclusion | "unknown" | "not_kept";
}

/** Who waits for an answer, and how long. */
export interface Caller {
  /** Aborted at its deadline or when it goes away. */
  readonly signal: AbortSignal;
  remainingMs(): number;
}

/** Remembers calls beyond the process. The ledger's `open` and `finish` write what is found here. */
export interface CallMemory {
  /**
   * What is known of the claim's key and request id; undefined means that there was no such call, or too long ago, and
   * that it is this process's to make now. While another process makes it, its end is waited for.
   * @throws GatewayError LEDGER_UNAVAILABLE when that cannot be found out
   */
  recall(claim: Claim, caller: Caller): Promise<Remembered | undefined>;
  /** The call that was this process's to make ended before anything of it was written. */
  withdraw(claim: Claim): void;
}
