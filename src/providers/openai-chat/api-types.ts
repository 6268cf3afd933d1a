/**
 * The wire types of `POST /chat/completions`, as far as the gateway uses them. What is sent is typed exactly; what
 * comes back is read with `read-json.ts`, since nothing about it may be taken for granted.
 */

export interface ChatRequestBody {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly ChatTool[] | undefined;
  readonly tool_choice?: ChatToolChoice | undefined;
  readonly parallel_tool_calls?: boolean | undefined;
  readonly response_format?: ChatResponseFormat | undefined;
  /** OpenAI; supersedes `max_tokens`. */
  readonly max_completion_tokens?: number | undefined;
  /** The other compatible providers. */
  readonly max_tokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly top_p?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly seed?: number | undefined;
  /** Mistral's name for `seed`. */
  readonly random_seed?: number | undefined;
  readonly user?: string | undefined;
  /** DeepSeek's name for `user`; at most 512 bytes. */
  readonly user_id?: string | undefined;
  readonly stream?: true | undefined;
  readonly stream_options?: ChatStreamOptions | undefined;
}

export interface ChatStreamOptions {
  readonly include_usage: true;
  /** OpenAI pads deltas against traffic analysis unless told not to; the padding is only bytes to parse. */
  readonly include_obfuscation?: false | undefined;
}

export type ChatMessage =
  | { readonly role: "system"; readonly content: string; readonly name?: string | undefined }
  | {
      readonly role: "user";
      readonly content: string | readonly ChatContentPart[];
      readonly name?: string | undefined;
    }
  | ChatAssistantMessage
  | { readonly role: "tool"; readonly tool_call_id: string; readonly content: string };

export interface ChatAssistantMessage {
  readonly role: "assistant";
  readonly content: string | null;
  readonly name?: string | undefined;
  readonly refusal?: string | undefined;
  readonly reasoning_content?: string | undefined;
  readonly tool_calls?: readonly ChatToolCall[] | undefined;
}

export type ChatContentPart =
  | { readonly type: "text"; readonly text: string }
  | {
      readonly type: "image_url";
      readonly image_url: { readonly url: string; readonly detail?: "low" | "high" | "auto" | undefined };
    };

export interface ChatToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

export interface ChatTool {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description?: string | undefined;
    readonly parameters?: unknown;
    readonly strict?: boolean | undefined;
  };
}

export type ChatToolChoice =
  | "auto"
  | "none"
  | "required"
  | { readonly type: "function"; readonly function: { readonly name: string } };

export type ChatResponseFormat =
  | { readonly type: "text" | "json_object" }
  | {
      readonly type: "json_schema";
      readonly json_schema: { readonly name: string; readonly schema: unknown; readonly strict: boolean };
    };
