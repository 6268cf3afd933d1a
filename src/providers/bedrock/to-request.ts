import type { CompletionInput, Message, MessagePart, ResponseFormat, Tool } from "../../core/completion.ts";
import type { DialectCall } from "../dialect.ts";
import { encodeImage, invalidRequest, joinText, toJsonObject } from "../request-parts.ts";
import type {
  ConverseBlock,
  ConverseBody,
  ConverseInference,
  ConverseJsonFormat,
  ConverseMessage,
  ConverseTool,
  ConverseToolChoice,
  ConverseToolConfig,
} from "./api-types.ts";

const IMAGE_FORMAT = /^image\/(png|jpeg|gif|webp)$/;

/**
 * The body of Converse and ConverseStream; the model is in the path. The end user and the reasoning of earlier turns are
 * left out: the API has no place for the one, and takes the other only with its signature.
 * @throws ProviderError PROVIDER_INVALID_REQUEST, not billed, for what the dialect cannot say: a seed, names of
 * messages, a system message amid the others, images to be fetched, their detail, JSON without a schema, tools that may
 * not be called, one tool call at a time.
 */
export function toConverse({ input }: DialectCall): ConverseBody {
  if (input.seed !== undefined) throw invalidRequest("Bedrock takes no seed");
  const firstOther = input.messages.findIndex(({ role }) => role !== "system");
  const systemCount = firstOther === -1 ? input.messages.length : firstOther;
  const system = input.messages.slice(0, systemCount).map((message) => {
    refuseName(message);
    return { text: joinText(message.parts, "system") };
  });
  return {
    messages: mergeTurns(input.messages.slice(systemCount).map(toConverseMessage)),
    system: system.length > 0 ? system : undefined,
    inferenceConfig: toInference(input),
    toolConfig: input.tools.length > 0 ? toToolConfig(input) : undefined,
    outputConfig: input.responseFormat && toOutputConfig(input.responseFormat),
  };
}

function refuseName({ name }: Message): void {
  if (name !== undefined) throw invalidRequest("Bedrock takes no names of messages");
}

function toConverseMessage(message: Message): ConverseMessage {
  refuseName(message);
  switch (message.role) {
    case "system":
      throw invalidRequest("Bedrock takes system messages only before all others");
    case "assistant":
      return { role: "assistant", content: message.parts.flatMap(toAssistantBlocks) };
    case "user":
      return { role: "user", content: message.parts.map(toUserBlock) };
    case "tool":
      if (message.parts.some((part) => part.kind !== "tool_result")) {
        throw invalidRequest("a tool message may only hold tool results");
      }
      return { role: "user", content: message.parts.map(toUserBlock) };
    default:
      return message.role satisfies never;
  }
}

function toUserBlock(part: MessagePart): ConverseBlock {
  switch (part.kind) {
    case "text":
      return { text: part.text };
    case "image":
      return toImageBlock(part);
    case "tool_result":
      return {
        toolResult: {
          toolUseId: part.toolCallId,
          content: [{ text: part.text }],
          status: part.isError ? "error" : undefined,
        },
      };
    default:
      throw invalidRequest(`a user message cannot hold a ${part.kind} part`);
  }
}

function toImageBlock({ source, detail }: Extract<MessagePart, { kind: "image" }>): ConverseBlock {
  if (detail === "low" || detail === "high") throw invalidRequest("Bedrock takes no detail of an image");
  const image = encodeImage(source);
  if (image === undefined) throw invalidRequest("Bedrock does not fetch images");
  const format = IMAGE_FORMAT.exec(image.mediaType)?.[1];
  if (format === undefined) throw invalidRequest("Bedrock takes images of PNG, JPEG, GIF and WebP");
  return { image: { format, source: { bytes: image.base64 } } };
}

function toAssistantBlocks(part: MessagePart): readonly ConverseBlock[] {
  switch (part.kind) {
    case "text":
    case "refusal":
      // The API refuses blocks without text.
      return part.text === "" ? [] : [{ text: part.text }];
    case "tool_call": {
      const input = toJsonObject(part.argumentsJson || "{}", `the arguments of the call of ${part.name}`);
      return [{ toolUse: { toolUseId: part.id, name: part.name, input } }];
    }
    case "reasoning":
      return [];
    default:
      throw invalidRequest(`an assistant message cannot hold a ${part.kind} part`);
  }
}

/** Roles must alternate: neighbours of one role become one. */
function mergeTurns(messages: readonly ConverseMessage[]): readonly ConverseMessage[] {
  const merged: ConverseMessage[] = [];
  for (const message of messages) {
    const last = merged.at(-1);
    if (last?.role === message.role) {
      merged[merged.length - 1] = { role: last.role, content: [...last.content, ...message.content] };
    } else merged.push(message);
  }
  return merged;
}

function toInference(input: CompletionInput): ConverseInference | undefined {
  const config: ConverseInference = {
    maxTokens: input.maxOutputTokens,
    temperature: input.temperature,
    topP: input.topP,
    stopSequences: input.stop.length > 0 ? input.stop : undefined,
  };
  return Object.values(config).some((value) => value !== undefined) ? config : undefined;
}

function toToolConfig({ tools, toolChoice, parallelToolCalls }: CompletionInput): ConverseToolConfig {
  if (parallelToolCalls === false) throw invalidRequest("Bedrock cannot be held to one tool call at a time");
  return {
    tools: tools.map((tool) => ({ toolSpec: toTool(tool) })),
    toolChoice: toolChoice && toToolChoice(toolChoice),
  };
}

function toTool(tool: Tool): ConverseTool {
  const json =
    tool.parametersJsonSchema === undefined
      ? { type: "object" }
      : toJsonObject(tool.parametersJsonSchema, `the parameters of tool ${tool.name}`);
  return { name: tool.name, description: tool.description, inputSchema: { json }, strict: tool.strict };
}

function toToolChoice(toolChoice: NonNullable<CompletionInput["toolChoice"]>): ConverseToolChoice {
  switch (toolChoice.kind) {
    case "auto":
      return { auto: {} };
    case "required":
      return { any: {} };
    case "tool":
      return { tool: { name: toolChoice.name } };
    case "none":
      throw invalidRequest("Bedrock cannot be told not to call the tools that are offered");
    default:
      return toolChoice satisfies never;
  }
}

function toOutputConfig(format: ResponseFormat): { readonly textFormat: ConverseJsonFormat } | undefined {
  switch (format.kind) {
    case "text":
      return undefined;
    case "json_object":
      throw invalidRequest("Bedrock answers JSON only by a schema");
    case "json_schema": {
      // The API takes the schema as text; that it is one is checked all the same.
      toJsonObject(format.schemaJson, "the schema of the response format");
      const jsonSchema = { name: format.name, schema: format.schemaJson };
      return { textFormat: { type: "json_schema", structure: { jsonSchema } } };
    }
    default:
      return format satisfies never;
  }
}
