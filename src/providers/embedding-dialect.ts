import type { NativeDialect, NativeRequest } from "../core/completion.ts";
import type { EmbeddingAbilities, EmbeddingAnswer, EmbeddingInput } from "../core/embedding.ts";
import type { BufferedResponse } from "./buffered-call.ts";
import type { ErrorRules } from "./http-error.ts";

/** Embeddings to be asked for. */
export interface EmbeddingDialectCall {
  readonly model: string;
  readonly input: EmbeddingInput;
  /** The caller's own request, in this dialect: it is sent instead of `input`. */
  readonly native?: NativeRequest | undefined;
}

/** How one kind of provider is asked for embeddings over HTTP and how it answers. */
export interface EmbeddingDialect {
  /** The dialect of requests that are sent, and answered, as they were written. */
  readonly nativeDialect?: NativeDialect | undefined;
  readonly abilities: EmbeddingAbilities;
  /** Path below the base URL. */
  toPath(call: EmbeddingDialectCall): string;
  /**
   * The body: an object, to be made JSON, or JSON text.
   * @throws ProviderError PROVIDER_INVALID_REQUEST, not billed, for what it cannot say
   */
  toBody(call: EmbeddingDialectCall): object | string;
  /** The answer in a 2xx response. @throws ProviderError */
  fromResponse(response: BufferedResponse, call: EmbeddingDialectCall): EmbeddingAnswer;
  readonly errors: ErrorRules;
}
