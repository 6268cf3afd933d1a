import type {
  ImageSource,
  Message,
  MessagePart,
  ResponseFormat,
  Tool,
  ToolChoice,
} from "../../core/completion.ts";
import type { DialectCall } from "../dialect.ts";
import { encodeImage, invalidRequest, joinText, toJsonObject, toSafeNumber } from "../request-parts.ts";
import type {
  ChatAssistantMessage,
  ChatContentPart,
  ChatMessage,
  ChatRequestBody,
  ChatResponseFormat,
  ChatTool,
  ChatToolCall,
  ChatToolChoice,
} from "./api-types.ts";
import type { OpenAiChatProfile } from "./profile.ts";

/**
 * The body of `POST /chat/completions`. Members that are undefined are left out when it is made JSON.
 * @throws ProviderError PROVIDER_INVALID_REQUEST, not billed, for what the dialect cannot say.
 */
export function toChatRequest(call: DialectCall, profile: OpenAiChatProfile): ChatRequestBody {
  const { input } = call;
  const hasTools = input.tools.length > 0;
  return {
    model: call.model,
    messages: input.messages.flatMap((message) => toChatMessages(message, profile)),
    tools: hasTools ? input.tools.map(toChatTool) : undefined,
    tool_choice: input.toolChoice && toChatToolChoice(input.toolChoice),
    // OpenAI refuses the parameter when there are no tools.
    parallel_tool_calls: hasTools ? input.parallelToolCalls : undefined,
    response_format: input.responseFormat && toChatResponseFormat(input.responseFormat),
    [profile.maxTokensField]: input.maxOutputTokens,
    temperature: input.temperature,
    top_p: input.topP,
    stop: input.stop.length > 0 ? input.stop : undefined,
    [profile.seedField]: input.seed === undefined ? undefined : toSafeNumber(input.seed, "seed"),
    ...(profile.endUserField && { [profile.endUserField]: input.endUser }),
    ...(call.stream ? streamMembers(profile) : undefined),
  };
}

function streamMembers(profile: OpenAiChatProfile): Pick<ChatRequestBody, "stream" | "stream_options"> {
  if (!profile.asksForUsage) return { stream: true };
  return {
    stream: true,
    stream_options: {
      include_usage: true,
      include_obfuscation: profile.takesObfuscationOption ? false : undefined,
    },
  };
}

/** One message of ours is several of theirs when it holds tool results: each is a message of its own. */
function toChatMessages(message: Message, profile: OpenAiChatProfile): readonly ChatMessage[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: joinText(message.parts, "system"), name: message.name }];
    case "user":
      return [...toolMessages(message.parts), ...userMessages(message)];
    case "assistant":
      return [toAssistantMessage(message, profile)];
    case "tool":
      if (message.parts.some((part) => part.kind !== "tool_result")) {
        throw invalidRequest("a tool message may only hold tool results");
      }
      return toolMessages(message.parts);
    default:
      return message.role satisfies never;
  }
}

function toolMessages(parts: readonly MessagePart[]): readonly ChatMessage[] {
  return parts
    .filter((part) => part.kind === "tool_result")
    .map((part) => ({ role: "tool", tool_call_id: part.toolCallId, content: part.text }));
}

function userMessages(message: Message): readonly ChatMessage[] {
  const content = message.parts.filter((part) => part.kind !== "tool_result").map(toContentPart);
  const [first] = content;
  if (first === undefined && message.parts.length > 0) return [];
  // The plain string is what every compatible provider takes.
  if (first === undefined) return [{ role: "user", content: "", name: message.name }];
  const isPlain = content.length === 1 && first.type === "text";
  return [{ role: "user", content: isPlain ? first.text : content, name: message.name }];
}

function toContentPart(part: MessagePart): ChatContentPart {
  switch (part.kind) {
    case "text":
      return { type: "text", text: part.text };
    case "image":
      return { type: "image_url", image_url: { url: toImageUrl(part.source), detail: part.detail } };
    default:
      throw invalidRequest(`a user message cannot hold a ${part.kind} part`);
  }
}

function toImageUrl(source: ImageSource): string {
  if (source.kind === "url") return source.url;
  const image = encodeImage(source);
  return `data:${image?.mediaType};base64,${image?.base64}`;
}

function toAssistantMessage(message: Message, profile: OpenAiChatProfile): ChatAssistantMessage {
  let text = "";
  let refusal = "";
  let reasoning = "";
  const toolCalls: ChatToolCall[] = [];
  for (const part of message.parts) {
    if (part.kind === "text") text += part.text;
    else if (part.kind === "refusal") refusal += part.text;
    else if (part.kind === "reasoning") reasoning += part.text;
    else if (part.kind === "tool_call") {
      toolCalls.push({
        id: part.id,
        type: "function",
        function: { name: part.name, arguments: part.argumentsJson },
      });
    } else throw invalidRequest(`an assistant message cannot hold a ${part.kind} part`);
  }
  return {
    role: "assistant",
    content: text === "" && (toolCalls.length > 0 || refusal !== "") ? null : text,
    name: message.name,
    refusal: refusal === "" ? undefined : refusal,
    reasoning_content: profile.takesReasoning && reasoning !== "" ? reasoning : undefined,
    tool_calls: toolCalls.length > 0 ? toolCalls : undefined,
  };
}

function toChatTool(tool: Tool): ChatTool {
  return {
    type: "function",
    function: {
      name: tool.name,
      description: tool.description,
      parameters:
        tool.parametersJsonSchema === undefined
          ? undefined
          : toJsonObject(tool.parametersJsonSchema, `the parameters of tool ${tool.name}`),
      strict: tool.strict,
    },
  };
}

function toChatToolChoice(choice: ToolChoice): ChatToolChoice {
  return choice.kind === "tool" ? { type: "function", function: { name: choice.name } } : choice.kind;
}

function toChatResponseFormat(format: ResponseFormat): ChatResponseFormat {
  if (format.kind !== "json_schema") return { type: format.kind };
  return {
    type: "json_schema",
    json_schema: {
      name: format.name,
      schema: toJsonObject(format.schemaJson, "the schema of the response format"),
      strict: format.strict,
    },
  };
}
