import type { CompletionInput, Message, MessagePart, ResponseFormat, Tool } from "../../core/completion.ts";
import type { DialectCall } from "../dialect.ts";
import { encodeImage, invalidRequest, joinText, toJsonObject } from "../request-parts.ts";
import type {
  AnthropicBlock,
  AnthropicJsonFormat,
  AnthropicMessage,
  AnthropicTool,
  AnthropicToolChoice,
  MessagesRequestBody,
} from "./api-types.ts";

/**
 * The API requires a limit of the output. This one is asked for when the caller sets none: every model since Claude 3.5
 * takes it, and an answer that it cut says so by its finish reason `length`.
 */
export const DEFAULT_MAX_OUTPUT_TOKENS = 8_192;

/**
 * The body of `POST /messages`. Reasoning of earlier turns is left out: the API takes it only with its signature, and
 * the contract has none.
 * @throws ProviderError PROVIDER_INVALID_REQUEST, not billed, for what the dialect cannot say: a seed, names of
 * messages, JSON without a schema, the detail of an image.
 */
export function toMessagesRequest({ model, input, stream }: DialectCall): MessagesRequestBody {
  if (input.seed !== undefined) throw invalidRequest("Anthropic takes no seed");
  const { system, rest } = splitSystem(input.messages);
  const hasTools = input.tools.length > 0;
  return {
    model,
    max_tokens: input.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS,
    system,
    messages: mergeTurns(rest.map(toAnthropicMessage)),
    tools: hasTools ? input.tools.map(toAnthropicTool) : undefined,
    tool_choice: hasTools ? toToolChoice(input) : undefined,
    output_config: input.responseFormat && toOutputConfig(input.responseFormat),
    temperature: input.temperature,
    top_p: input.topP,
    stop_sequences: input.stop.length > 0 ? input.stop : undefined,
    metadata: input.endUser === undefined ? undefined : { user_id: input.endUser },
    stream: stream ? true : undefined,
  };
}

/** System messages at the start are the API's own parameter; later ones are messages with that role. */
function splitSystem(messages: readonly Message[]) {
  const firstOther = messages.findIndex(({ role }) => role !== "system");
  const count = firstOther === -1 ? messages.length : firstOther;
  const texts = messages.slice(0, count).map((message) => {
    refuseName(message);
    return joinText(message.parts, "system");
  });
  return { system: texts.length === 0 ? undefined : texts.join("\n\n"), rest: messages.slice(count) };
}

function refuseName({ name }: Message): void {
  if (name !== undefined) throw invalidRequest("Anthropic takes no names of messages");
}

interface Turn {
  readonly role: AnthropicMessage["role"];
  readonly blocks: readonly AnthropicBlock[];
}

function toAnthropicMessage(message: Message): Turn {
  refuseName(message);
  switch (message.role) {
    case "system":
      return { role: "system", blocks: [{ type: "text", text: joinText(message.parts, "system") }] };
    case "user":
      return { role: "user", blocks: message.parts.map(toUserBlock) };
    case "assistant":
      return { role: "assistant", blocks: message.parts.flatMap(toAssistantBlocks) };
    case "tool":
      if (message.parts.some((part) => part.kind !== "tool_result")) {
        throw invalidRequest("a tool message may only hold tool results");
      }
      return { role: "user", blocks: message.parts.map(toUserBlock) };
    default:
      return message.role satisfies never;
  }
}

function toUserBlock(part: MessagePart): AnthropicBlock {
  switch (part.kind) {
    case "text":
      return { type: "text", text: part.text };
    case "image": {
      if (part.detail === "low" || part.detail === "high") {
        throw invalidRequest("Anthropic takes no detail of an image");
      }
      const image = encodeImage(part.source);
      if (image) {
        const source = { type: "base64", media_type: image.mediaType, data: image.base64 } as const;
        return { type: "image", source };
      }
      const url = part.source.kind === "url" ? part.source.url : "";
      return { type: "image", source: { type: "url", url } };
    }
    case "tool_result":
      return {
        type: "tool_result",
        tool_use_id: part.toolCallId,
        content: part.text,
        is_error: part.isError ? true : undefined,
      };
    default:
      throw invalidRequest(`a user message cannot hold a ${part.kind} part`);
  }
}

function toAssistantBlocks(part: MessagePart): readonly AnthropicBlock[] {
  switch (part.kind) {
    case "text":
    case "refusal":
      // The API refuses text blocks without text.
      return part.text === "" ? [] : [{ type: "text", text: part.text }];
    case "tool_call": {
      const input = toJsonObject(part.argumentsJson || "{}", `the arguments of the call of ${part.name}`);
      return [{ type: "tool_use", id: part.id, name: part.name, input }];
    }
    case "reasoning":
      return [];
    default:
      throw invalidRequest(`an assistant message cannot hold a ${part.kind} part`);
  }
}

/** The results of parallel calls must be in one message: neighbours of one role become one. */
function mergeTurns(turns: readonly Turn[]): readonly AnthropicMessage[] {
  const merged: Turn[] = [];
  for (const turn of turns) {
    const last = merged.at(-1);
    if (last?.role === turn.role) {
      merged[merged.length - 1] = { role: last.role, blocks: [...last.blocks, ...turn.blocks] };
    } else merged.push(turn);
  }
  return merged.map(({ role, blocks }) => {
    const [first] = blocks;
    return { role, content: blocks.length === 1 && first?.type === "text" ? first.text : blocks };
  });
}

function toAnthropicTool(tool: Tool): AnthropicTool {
  return {
    name: tool.name,
    description: tool.description,
    input_schema:
      tool.parametersJsonSchema === undefined
        ? { type: "object" }
        : toJsonObject(tool.parametersJsonSchema, `the parameters of tool ${tool.name}`),
    strict: tool.strict,
  };
}

function toToolChoice({ toolChoice, parallelToolCalls }: CompletionInput): AnthropicToolChoice | undefined {
  const disable = parallelToolCalls === false ? true : undefined;
  switch (toolChoice?.kind) {
    case "none":
      return { type: "none" };
    case "required":
      return { type: "any", disable_parallel_tool_use: disable };
    case "tool":
      return { type: "tool", name: toolChoice.name, disable_parallel_tool_use: disable };
    case "auto":
      return { type: "auto", disable_parallel_tool_use: disable };
    case undefined:
      return disable && { type: "auto", disable_parallel_tool_use: disable };
    default:
      return toolChoice satisfies never;
  }
}

function toOutputConfig(format: ResponseFormat): { readonly format: AnthropicJsonFormat } | undefined {
  switch (format.kind) {
    case "text":
      return undefined;
    case "json_object":
      throw invalidRequest("Anthropic answers JSON only by a schema");
    case "json_schema": {
      const schema = toJsonObject(format.schemaJson, "the schema of the response format");
      return { format: { type: "json_schema", schema } };
    }
    default:
      return format satisfies never;
  }
}
