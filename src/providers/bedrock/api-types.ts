/**
 * The wire types of `POST /model/{modelId}/converse`, as far as the gateway uses them, after
 * @aws-sdk/client-bedrock-runtime 3.1164. What comes back is read with `read-json.ts`.
 */

export interface ConverseBody {
  readonly messages: readonly ConverseMessage[];
  readonly system?: readonly { readonly text: string }[] | undefined;
  readonly inferenceConfig?: ConverseInference | undefined;
  readonly toolConfig?: ConverseToolConfig | undefined;
  readonly outputConfig?: { readonly textFormat: ConverseJsonFormat } | undefined;
}

export interface ConverseMessage {
  readonly role: "user" | "assistant";
  readonly content: readonly ConverseBlock[];
}

export type ConverseBlock =
  | { readonly text: string }
  | { readonly image: { readonly format: string; readonly source: { readonly bytes: string } } }
  | { readonly toolUse: { readonly toolUseId: string; readonly name: string; readonly input: unknown } }
  | {
      readonly toolResult: {
        readonly toolUseId: string;
        readonly content: readonly { readonly text: string }[];
        readonly status?: "error" | undefined;
      };
    };

export interface ConverseInference {
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly stopSequences?: readonly string[] | undefined;
}

export interface ConverseToolConfig {
  readonly tools: readonly { readonly toolSpec: ConverseTool }[];
  readonly toolChoice?: ConverseToolChoice | undefined;
}

export interface ConverseTool {
  readonly name: string;
  readonly description?: string | undefined;
  readonly inputSchema: { readonly json: unknown };
  readonly strict?: boolean | undefined;
}

export type ConverseToolChoice =
  | { readonly auto: object }
  | { readonly any: object }
  | { readonly tool: { readonly name: string } };

export interface ConverseJsonFormat {
  readonly type: "json_schema";
  readonly structure: { readonly jsonSchema: { readonly name: string; readonly schema: string } };
}
