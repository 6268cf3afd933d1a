import type { CompletionInput, NativeDialect, NativeRequest, ProviderAnswer } from "../core/completion.ts";
import type { BufferedResponse } from "./buffered-call.ts";
import type { Relaying } from "./event-relay.ts";
import type { StreamRules } from "./event-stream-decoder.ts";

/** One completion to be asked for. */
export interface DialectCall {
  readonly model: string;
  readonly input: CompletionInput;
  readonly stream: boolean;
  /** The caller's own request, in this dialect: it is sent instead of `input`. */
  readonly native?: NativeRequest | undefined;
}

/** How one kind of provider is asked over HTTP and how it answers; all the I/O is done by `http-provider.ts`. */
export interface Dialect extends StreamRules {
  /** The dialect of requests that are sent, and answered, as they were written. */
  readonly nativeDialect?: NativeDialect | undefined;
  /** Path below the base URL, with its query. */
  toPath(call: DialectCall): string;
  /** Headers that the dialect needs besides the key's, names and values alternating; none by default. */
  toHeaders?(call: DialectCall): readonly string[];
  /**
   * The body: an object, to be made JSON, or JSON text.
   * @throws ProviderError PROVIDER_INVALID_REQUEST, not billed, for what it cannot say
   */
  toBody(call: DialectCall): object | string;
  /** The answer in a 2xx response. @throws ProviderError */
  fromResponse(response: BufferedResponse, relaying: Relaying): ProviderAnswer;
}
