import type {
  CompletionInput,
  NativeDialect,
  NativeRequest,
  ProviderAnswer,
  StreamEnd,
  StreamSink,
} from "./completion.ts";
import type { EmbeddingAbilities, EmbeddingAnswer, EmbeddingInput } from "./embedding.ts";

/** Limits of one call, in milliseconds from the call's start (idle: between two events). */
export interface CallTimeouts {
  /** The whole call. */
  readonly totalMs: number;
  /** Until the response headers or, for a stream, the first content event. */
  readonly firstTokenMs: number;
  /** Between two content events of a stream; keep-alive comments do not count as events. */
  readonly idleMs: number;
}

/**
 * What a provider bills for a call that the gateway gives up (caller gone, deadline), and so what is done then:
 * - `estimate`: what it generated until the cancellation. The socket is closed, the tokens received are counted.
 * - `drain`: the whole answer. It is settled by count at once, and read to its end for its usage, unary ones too.
 * - `not_billed`: nothing for an interrupted stream, which then costs 0.
 */
export type CancelledStreams = "estimate" | "drain" | "not_billed";

/** What the calls to a provider have in common, whatever they ask for. */
export interface ProviderCallFrame {
  /** The provider's own name of the model, without our `provider/` prefix. */
  readonly model: string;
  readonly timeouts: CallTimeouts;
  /** Aborting closes the socket at once; the call then rejects with CANCELLED or, if the reason is one, the ProviderError given. */
  readonly signal: AbortSignal;
  /** Told once, when the request may have reached the provider. */
  readonly onSent: (() => void) | undefined;
  /** W3C trace context to send along; empty when there is none. */
  readonly traceHeaders: Readonly<Record<string, string>>;
}

/** A call for a completion. */
export interface ProviderCall extends ProviderCallFrame {
  readonly input: CompletionInput;
  /** The caller's own request; a provider that speaks its dialect sends that instead of `input`. */
  readonly native?: NativeRequest | undefined;
}

/** A call for embeddings. */
export interface EmbeddingProviderCall extends ProviderCallFrame {
  readonly input: EmbeddingInput;
  /** As in `ProviderCall`. */
  readonly native?: NativeRequest | undefined;
}

/** The part of a provider that makes embeddings. */
export interface Embedder {
  readonly abilities: EmbeddingAbilities;
  /** As the calls of `Provider`. */
  embed(call: EmbeddingProviderCall): Promise<EmbeddingAnswer>;
}

/**
 * One provider. The calls make exactly one HTTP request: no hidden retry.
 * @throws ProviderError and nothing else (programmer errors aside).
 */
export interface Provider {
  readonly name: string;
  /** The dialects in which native requests can be sent to it as they are. */
  readonly dialects: ReadonlySet<NativeDialect>;
  complete(call: ProviderCall): Promise<ProviderAnswer>;
  /** Resolves only after the provider's terminal event; a stream that merely ends is PROVIDER_STREAM_CUT. */
  stream(call: ProviderCall, sink: StreamSink): Promise<StreamEnd>;
  /** Undefined for one that makes no embeddings. */
  readonly embedder?: Embedder | undefined;
  close(): Promise<void>;
}
