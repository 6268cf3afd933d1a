import type {
  CompletionInput,
  NativeDialect,
  NativeRequest,
  ProviderAnswer,
  StreamEnd,
  StreamSink,
} from "./completion.ts";

/** Limits of one call, in milliseconds from the call's start (idle: between two events). */
export interface CallTimeouts {
  /** The whole call. */
  readonly totalMs: number;
  /** Until the response headers or, for a stream, the first content event. */
  readonly firstTokenMs: number;
  /** Between two content events of a stream; keep-alive comments do not count as events. */
  readonly idleMs: number;
}

export interface ProviderCall {
  /** The provider's own name of the model, without our `provider/` prefix. */
  readonly model: string;
  readonly input: CompletionInput;
  /** The caller's own request; a provider of its dialect sends that instead of `input`. */
  readonly native?: NativeRequest | undefined;
  readonly timeouts: CallTimeouts;
  /** Aborting closes the socket at once; the call then rejects with CANCELLED or, if the reason is one, the ProviderError given. */
  readonly signal: AbortSignal;
  /** W3C trace context to send along; empty when there is none. */
  readonly traceHeaders: Readonly<Record<string, string>>;
}

/**
 * One provider. Both calls make exactly one HTTP request: no hidden retry.
 * @throws ProviderError and nothing else (programmer errors aside).
 */
export interface Provider {
  readonly name: string;
  /** The dialect in which native requests can be sent to it as they are. */
  readonly dialect?: NativeDialect | undefined;
  complete(call: ProviderCall): Promise<ProviderAnswer>;
  /** Resolves only after the provider's terminal event; a stream that merely ends is PROVIDER_STREAM_CUT. */
  stream(call: ProviderCall, sink: StreamSink): Promise<StreamEnd>;
  close(): Promise<void>;
}
