import type { CompletionInput, ProviderAnswer } from "../core/completion.ts";
import type { BufferedResponse } from "./buffered-call.ts";
import type { StreamRules } from "./event-stream-decoder.ts";

/** One completion to be asked for. */
export interface DialectCall {
  readonly model: string;
  readonly input: CompletionInput;
  readonly stream: boolean;
}

/** How one kind of provider is asked over HTTP and how it answers; all the I/O is done by `http-provider.ts`. */
export interface Dialect extends StreamRules {
  /** Path below the base URL, with its query. */
  toPath(call: DialectCall): string;
  /** The body, to be made JSON. @throws ProviderError PROVIDER_INVALID_REQUEST, not billed, for what it cannot say */
  toBody(call: DialectCall): unknown;
  /** The answer in a 2xx response. @throws ProviderError */
  fromResponse(response: BufferedResponse): ProviderAnswer;
}
