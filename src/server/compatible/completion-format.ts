import type { IncomingHttpHeaders } from "node:http";
import type { CompletionInput, NativeRequest, StreamDelta } from "../../core/completion.ts";
import type { CompletionResult, StreamResult } from "../../core/gateway.ts";

/** A request for a completion, read from the words of some API. */
export interface CompatibleRequest {
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly endUser: string | undefined;
  readonly streamed: boolean;
  readonly input: CompletionInput;
  readonly native: NativeRequest;
}

/** How one API asks for completions and answers with them. */
export interface CompletionFormat<R extends CompatibleRequest> {
  /** @throws GatewayError INVALID_REQUEST, with the member that it is about */
  parse(body: Uint8Array, headers: IncomingHttpHeaders): R;
  /** Names of the members that a provider of another dialect is not told of. */
  ignoredMembers(request: R): readonly string[];
  /** JSON text: an answer of a provider of another dialect, or one that is told again, as the API gives it. */
  toAnswer(result: CompletionResult, requestId: string, request: R): string;
  createStream(request: R, requestId: string): StreamWriter;
}

/** Writes the server-sent events of one answer. */
export interface StreamWriter {
  /** Told first: the model that answers. */
  started(model: string): void;
  /** Events of an answer in another dialect. */
  deltas(deltas: readonly StreamDelta[]): string;
  /** Events that the provider wrote, as its caller gets them. */
  relay(events: string): string;
  /** What is left to be said, with the gateway's facts (JSON text) in the last event that is read. */
  end(result: StreamResult, factsJson: string): string;
  /** The event that ends a stream with an error; `error` is the body that an answer would have. */
  fail(error: object, factsJson: string): string;
}

/** A member more in the text of a JSON object. */
export function withFacts(objectJson: string, factsJson: string): string {
  return `${objectJson.slice(0, objectJson.lastIndexOf("}"))},"llm_gateway":${factsJson}}`;
}
