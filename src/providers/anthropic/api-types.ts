/**
 * The wire types of `POST /messages`, as far as the gateway uses them, after @anthropic-ai/sdk 1.12. What comes back is
 * read with `read-json.ts`.
 */

export interface MessagesRequestBody {
  readonly model: string;
  readonly max_tokens: number;
  readonly system?: string | undefined;
  readonly messages: readonly AnthropicMessage[];
  readonly tools?: readonly AnthropicTool[] | undefined;
  readonly tool_choice?: AnthropicToolChoice | undefined;
  readonly output_config?: { readonly format: AnthropicJsonFormat } | undefined;
  readonly temperature?: number | undefined;
  readonly top_p?: number | undefined;
  readonly stop_sequences?: readonly string[] | undefined;
  readonly metadata?: { readonly user_id: string } | undefined;
  readonly stream?: true | undefined;
}

export interface AnthropicMessage {
  readonly role: "user" | "assistant" | "system";
  readonly content: string | readonly AnthropicBlock[];
}

export type AnthropicBlock =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly source: AnthropicImageSource }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly input: unknown }
  | {
      readonly type: "tool_result";
      readonly tool_use_id: string;
      readonly content: string;
      readonly is_error?: true | undefined;
    };

export type AnthropicImageSource =
  | { readonly type: "base64"; readonly media_type: string; readonly data: string }
  | { readonly type: "url"; readonly url: string };

export interface AnthropicTool {
  readonly name: string;
  readonly description?: string | undefined;
  readonly input_schema: unknown;
  readonly strict?: boolean | undefined;
}

export type AnthropicToolChoice =
  | { readonly type: "none" }
  | {
      readonly type: "auto" | "any";
      readonly disable_parallel_tool_use?: true | undefined;
    }
  | {
      readonly type: "tool";
      readonly name: string;
      readonly disable_parallel_tool_use?: true | undefined;
    };

export interface AnthropicJsonFormat {
  readonly type: "json_schema";
  readonly schema: unknown;
}
