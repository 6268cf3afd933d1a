import type { PicoUsd } from "./money.ts";
import type { UsageReport } from "./usage.ts";

/** Who speaks. `system` covers what some providers call developer. */
export type MessageRole = "system" | "user" | "assistant" | "tool";

export type MessagePart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "image"; readonly source: ImageSource; readonly detail: ImageDetail | undefined }
  | { readonly kind: "tool_call"; readonly id: string; readonly name: string; readonly argumentsJson: string }
  | {
      readonly kind: "tool_result";
      readonly toolCallId: string;
      readonly text: string;
      /** The tool failed, and the text says how; left out where a dialect has no place for it. */
      readonly isError?: boolean | undefined;
    }
  | { readonly kind: "refusal"; readonly text: string }
  | { readonly kind: "reasoning"; readonly text: string };

export type ImageSource =
  /** `https:` or `data:`; the provider fetches it, never the gateway. */
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly mediaType: string };

export type ImageDetail = "low" | "high" | "auto";

export interface Message {
  readonly role: MessageRole;
  readonly name: string | undefined;
  readonly parts: readonly MessagePart[];
}

export interface Tool {
  readonly name: string;
  readonly description: string | undefined;
  /** JSON Schema of the arguments, as JSON text of an object. */
  readonly parametersJsonSchema: string | undefined;
  readonly strict: boolean | undefined;
}

export type ToolChoice =
  | { readonly kind: "auto" | "none" | "required" }
  | { readonly kind: "tool"; readonly name: string };

export type ResponseFormat =
  | { readonly kind: "text" | "json_object" }
  | {
      readonly kind: "json_schema";
      readonly name: string;
      readonly schemaJson: string;
      readonly strict: boolean;
    };

/** A completion as every provider adapter takes it: the model and the routing are not part of it. */
export interface CompletionInput {
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[];
  readonly toolChoice: ToolChoice | undefined;
  readonly parallelToolCalls: boolean | undefined;
  readonly responseFormat: ResponseFormat | undefined;
  readonly maxOutputTokens: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly stop: readonly string[];
  readonly seed: bigint | undefined;
  readonly endUser: string | undefined;
}

/** A wire format that a face of the gateway takes and that providers speak, too. */
export type NativeDialect = "openai-chat" | "openai-responses" | "anthropic-messages" | "openai-embeddings";

/** A request in a dialect, as the caller wrote it: what a provider of the same dialect is sent. */
export interface NativeRequest {
  readonly dialect: NativeDialect;
  /** The caller's JSON text, an object; all that the gateway does not know of it reaches the provider, too. */
  readonly text: string;
  /** The same, parsed. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Members that only the gateway understands: they are not sent on. */
  readonly gatewayMembers: readonly string[];
  /** What its dialect says in headers of the request, checked, by their names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Paths of what the input beside it cannot say, or all of it: with any, only providers of the dialect can be asked. */
  readonly untranslatable: readonly string[] | "all";
  /** It refers to what one provider keeps, so that no other one is asked. Default false. */
  readonly staysWithProvider?: boolean | undefined;
}

/** How a stream that was relayed ends, in its dialect. */
export interface NativeStreamEnd {
  /** Events that were not pushed yet. */
  readonly tail: string;
  /** JSON text of the event that holds nothing but the usage; undefined when there was none. */
  readonly usageJson: string | undefined;
  /** What its framing calls that event, if it has a name. */
  readonly usageEvent?: string | undefined;
}

export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter";

export interface Choice {
  readonly index: number;
  readonly message: Message;
  readonly finishReason: FinishReason;
}

/** What a provider answered. */
export interface ProviderAnswer {
  readonly choices: readonly Choice[];
  /** The model that the provider says it used; prices go by the requested one unless a price names this one. */
  readonly responseModel: string | undefined;
  readonly usage: UsageReport;
  /** What the provider says that the call cost, when it does; kept beside the gateway's own cost. */
  readonly providerCostPicoUsd?: PicoUsd | undefined;
  /** The provider charges beside the tokens, or otherwise (tools of its own, another tier): their cost is not all of it. */
  readonly chargesBeyondTokens?: boolean | undefined;
  readonly providerRequestId: string | undefined;
  /** Bytes of output text, reasoning and tool arguments: what an estimate goes by when usage is absent. */
  readonly outputBytes: number;
  /** The provider's own JSON text, when the request was native. */
  readonly native?: string | undefined;
}

/** One step of a streamed answer. Tool-call deltas of one call share `toolIndex`; the first carries id and name. */
export type StreamDelta =
  | { readonly kind: "text"; readonly choiceIndex: number; readonly text: string }
  | { readonly kind: "reasoning"; readonly choiceIndex: number; readonly text: string }
  | {
      readonly kind: "tool_call";
      readonly choiceIndex: number;
      readonly toolIndex: number;
      readonly id: string | undefined;
      readonly name: string | undefined;
      readonly argumentsDelta: string;
    };

/** How a stream ended well. What went before was pushed as deltas. */
export interface StreamEnd {
  readonly finishReasons: readonly { readonly choiceIndex: number; readonly finishReason: FinishReason }[];
  readonly responseModel: string | undefined;
  readonly usage: UsageReport;
  readonly providerCostPicoUsd?: PicoUsd | undefined;
  readonly chargesBeyondTokens?: boolean | undefined;
  readonly providerRequestId: string | undefined;
  readonly outputBytes: number;
  readonly deltas: number;
  /** Set when the request was native. */
  readonly native?: NativeStreamEnd | undefined;
}

/**
 * Where a provider adapter pushes the deltas of one upstream read and, when the request was native, the events in
 * which they came, as the provider wrote them. A promise means: wait before reading on.
 */
export type StreamSink = (deltas: readonly StreamDelta[], native?: string) => Promise<void> | undefined;
