import type {
  Choice,
  CompletionInput,
  FinishReason,
  NativeRequest,
  NativeStreamEnd,
  StreamDelta,
} from "./completion.ts";
import type { EmbeddingInput, NativeEmbeddings } from "./embedding.ts";
import type { ErrorReason } from "./error-table.ts";
import { GatewayError, type GatewayErrorOptions } from "./errors.ts";
import type { Principal, RateLimitStatus } from "./keys.ts";
import type { AttemptOutcomeKind, BillingState, UsageSource } from "./ledger.ts";
import type { ModelInput } from "./model-input.ts";
import type { PicoUsd } from "./money.ts";
import type { Price } from "./price.ts";
import type { Recovery } from "./route.ts";
import type { RequestTelemetry } from "./telemetry.ts";
import type { Usage } from "./usage.ts";

/**
 * One call, as every face of the gateway hands it to the core: all but what it asks for. It was authenticated and
 * validated.
 */
export interface GatewayCall {
  readonly requestId: string;
  /**
   * The caller chose the id, so that it may make the same call again: a repetition gets what became of the first one.
   * False for ids made by the gateway, which nobody can repeat.
   */
  readonly repeatable: boolean;
  readonly principal: Principal;
  /** The model as the caller named it. */
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly endUser: string | undefined;
  /** The deadline on the monotonic clock; never absent. */
  readonly deadlineAtMs: number;
  /** Aborted when the caller goes away or its deadline passes. */
  readonly signal: AbortSignal;
  readonly telemetry: RequestTelemetry;
  /** Told what is left of the key's limits, once the request has its place in them. */
  readonly onAdmitted?: ((limits: RateLimitStatus) => void) | undefined;
}

/** One call, with what the model is to read. */
export interface ModelCall extends GatewayCall {
  readonly input: ModelInput;
  /** The same request as its caller wrote it, from a face that speaks a dialect of providers. */
  readonly native?: NativeRequest | undefined;
}

/** One completion. */
export interface CompletionCall extends ModelCall {
  readonly input: CompletionInput;
  /** What becomes of a stream that breaks off. Undefined: as the route says. */
  readonly recovery?: Recovery | undefined;
}

/** One call for embeddings. */
export interface EmbeddingCall extends ModelCall {
  readonly input: EmbeddingInput;
}

/** One attempt, as answers report it. */
export interface AttemptReport {
  readonly attemptId: string;
  readonly ordinal: number;
  readonly provider: string;
  readonly model: string;
  readonly outcome: AttemptOutcomeKind;
  readonly errorReason: ErrorReason | undefined;
  readonly latencyMs: number;
  readonly usage: Usage | undefined;
  readonly usageSource: UsageSource;
  readonly costPicoUsd: PicoUsd | undefined;
  readonly priceId: string | undefined;
  readonly billingState: BillingState;
}

export interface CompletionResult {
  readonly provider: string;
  readonly model: string;
  readonly choices: readonly Choice[];
  readonly attempts: readonly AttemptReport[];
  /** What an earlier call with the same request id got; nothing was called or charged again. */
  readonly replayed: boolean;
  /** The provider's own JSON text, when it speaks the dialect of a native request; never of a replayed answer. */
  readonly native?: string | undefined;
}

export interface StreamResult {
  readonly provider: string;
  readonly model: string;
  readonly finishReasons: readonly { readonly choiceIndex: number; readonly finishReason: FinishReason }[];
  readonly attempts: readonly AttemptReport[];
  /** As in `CompletionResult`; then the deltas were those of the earlier call. */
  readonly replayed: boolean;
  /** Set when the provider speaks the dialect of a native request; never of a replayed answer. */
  readonly native?: NativeStreamEnd | undefined;
}

/** Of a sink that can take back what it was given. */
export interface SinkRecovery {
  /** Told before `started` that the call asked for recovery: all that is delivered may have to be discarded. */
  expected(): void;
  /** False once nothing can be taken back any more. */
  readonly possible: boolean;
  /** After `started`: what came before is to be discarded, for `reason`; this candidate now answers from the beginning. */
  restarted(provider: string, model: string, reason: ErrorReason): void;
}

export interface EmbeddingResult {
  readonly provider: string;
  readonly model: string;
  /** In the order of what was embedded, all of one length. */
  readonly vectors: readonly Float32Array[];
  readonly attempts: readonly AttemptReport[];
  /** As in `CompletionResult`. */
  readonly replayed: boolean;
  /** Set when the provider speaks the dialect of a native request; never of a replayed answer. */
  readonly native?: NativeEmbeddings | undefined;
}

/** Where a streamed completion goes. A promise means: the caller is slow, wait. */
export interface CompletionSink {
  /** Without it there is no fallback after `started`. */
  readonly recovery?: SinkRecovery | undefined;
  /**
   * Exactly once, before the first delta. `replayed`: what follows is what an earlier call with the same request id got.
   */
  started(provider: string, model: string, replayed?: boolean): void;
  /** `native` are the provider's own events, when it speaks the dialect of a native request. */
  deltas(deltas: readonly StreamDelta[], native?: string): Promise<void> | undefined;
}

/** A completion, or a call for embeddings, that failed, with every attempt that was made: they may have cost money. */
export class CompletionError extends GatewayError {
  override readonly name = "CompletionError";
  readonly attempts: readonly AttemptReport[];
  /** The failure of an earlier call with the same request id. */
  readonly replayed: boolean;

  constructor(
    reason: ErrorReason,
    message: string,
    options: GatewayErrorOptions & {
      readonly attempts: readonly AttemptReport[];
      readonly replayed?: boolean;
    },
  ) {
    super(reason, message, options);
    this.attempts = options.attempts;
    this.replayed = options.replayed ?? false;
  }
}

/** A name that callers may ask for, and what stands behind it. */
export interface ModelEntry {
  readonly name: string;
  readonly chain: readonly {
    readonly provider: string;
    readonly model: string;
    readonly price: Price | undefined;
  }[];
}

/** The use case. Everything it returns is on the ledger already. */
export interface Gateway {
  /** @throws CompletionError once a provider was called, GatewayError before. */
  complete(call: CompletionCall): Promise<CompletionResult>;
  /** Resolves at the end of the stream. @throws as `complete`, also after deltas were delivered. */
  stream(call: CompletionCall, sink: CompletionSink): Promise<StreamResult>;
  /**
   * Only providers that make embeddings are asked, and never those of the default chain: vectors of different models
   * cannot be compared.
   * @throws as `complete`
   */
  embed(call: EmbeddingCall): Promise<EmbeddingResult>;
  /** The models that a key may use, by name. */
  models(principal: Principal): readonly ModelEntry[];
}
