import type { CompletionInput, Message, MessagePart, ResponseFormat, Tool } from "../../core/completion.ts";
import type { DialectCall } from "../dialect.ts";
import { encodeImage, invalidRequest, joinText, toJsonObject, toSafeNumber } from "../request-parts.ts";
import type {
  GeminiContent,
  GeminiFunction,
  GeminiFunctionCalling,
  GeminiGenerationConfig,
  GeminiPart,
  GenerateContentBody,
} from "./api-types.ts";

/**
 * Models from Gemini 3 on refuse a function call of an earlier turn without the signature of the thoughts that led to
 * it. The contract has no place for signatures; this one is documented for calls whose signature is not known.
 */
const SKIP_SIGNATURE_CHECK = "skip_thought_signature_validator";

/**
 * The body of `:generateContent`; the model is in the path. The end user and the reasoning of earlier turns are left
 * out: the API has no place for them.
 * @throws ProviderError PROVIDER_INVALID_REQUEST, not billed, for what the dialect cannot say: names of messages, a
 * system message amid the others, strict tools, one tool call at a time, the detail of an image.
 */
export function toGenerateContent({ input }: DialectCall): GenerateContentBody {
  const firstOther = input.messages.findIndex(({ role }) => role !== "system");
  const systemCount = firstOther === -1 ? input.messages.length : firstOther;
  const systemTexts = input.messages.slice(0, systemCount).map((message) => {
    refuseName(message);
    return { text: joinText(message.parts, "system") };
  });
  if (input.parallelToolCalls === false && input.tools.length > 0) {
    throw invalidRequest("Gemini cannot be held to one tool call at a time");
  }
  const names = toolNames(input.messages);
  return {
    contents: mergeTurns(input.messages.slice(systemCount).map((message) => toContent(message, names))),
    systemInstruction: systemTexts.length > 0 ? { parts: systemTexts } : undefined,
    tools: input.tools.length > 0 ? [{ functionDeclarations: input.tools.map(toFunction) }] : undefined,
    toolConfig: toToolConfig(input),
    generationConfig: toGenerationConfig(input),
  };
}

function refuseName({ name }: Message): void {
  if (name !== undefined) throw invalidRequest("Gemini takes no names of messages");
}

/** Results name their function, not their call. */
function toolNames(messages: readonly Message[]): ReadonlyMap<string, string> {
  const calls = messages.flatMap(({ parts }) => parts.filter((part) => part.kind === "tool_call"));
  return new Map(calls.map(({ id, name }) => [id, name]));
}

function toContent(message: Message, names: ReadonlyMap<string, string>): GeminiContent {
  refuseName(message);
  switch (message.role) {
    case "system":
      throw invalidRequest("Gemini takes system messages only before all others");
    case "assistant":
      return { role: "model", parts: message.parts.flatMap(toModelParts) };
    case "user":
      return { role: "user", parts: message.parts.map((part) => toUserPart(part, names)) };
    case "tool":
      if (message.parts.some((part) => part.kind !== "tool_result")) {
        throw invalidRequest("a tool message may only hold tool results");
      }
      return { role: "user", parts: message.parts.map((part) => toUserPart(part, names)) };
    default:
      return message.role satisfies never;
  }
}

function toUserPart(part: MessagePart, names: ReadonlyMap<string, string>): GeminiPart {
  switch (part.kind) {
    case "text":
      return { text: part.text };
    case "image": {
      if (part.detail === "low" || part.detail === "high") {
        throw invalidRequest("the detail of an image cannot be told to Gemini");
      }
      const image = encodeImage(part.source);
      if (image) return { inlineData: { mimeType: image.mediaType, data: image.base64 } };
      return { fileData: { fileUri: part.source.kind === "url" ? part.source.url : "" } };
    }
    case "tool_result": {
      const name = names.get(part.toolCallId);
      if (name === undefined) throw invalidRequest("a tool result without its call before it");
      const response = part.isError ? { error: part.text } : { output: part.text };
      return { functionResponse: { name, response } };
    }
    default:
      throw invalidRequest(`a user message cannot hold a ${part.kind} part`);
  }
}

function toModelParts(part: MessagePart): readonly GeminiPart[] {
  switch (part.kind) {
    case "text":
    case "refusal":
      return [{ text: part.text }];
    case "tool_call": {
      const args = toJsonObject(part.argumentsJson || "{}", `the arguments of the call of ${part.name}`);
      return [{ functionCall: { name: part.name, args }, thoughtSignature: SKIP_SIGNATURE_CHECK }];
    }
    case "reasoning":
      return [];
    default:
      throw invalidRequest(`an assistant message cannot hold a ${part.kind} part`);
  }
}

/** The results of parallel calls belong into one content: neighbours of one role become one. */
function mergeTurns(contents: readonly GeminiContent[]): readonly GeminiContent[] {
  const merged: GeminiContent[] = [];
  for (const content of contents) {
    const last = merged.at(-1);
    if (last?.role === content.role) {
      merged[merged.length - 1] = { role: last.role, parts: [...last.parts, ...content.parts] };
    } else merged.push(content);
  }
  return merged;
}

function toFunction(tool: Tool): GeminiFunction {
  if (tool.strict) throw invalidRequest("Gemini has no strict tools");
  return {
    name: tool.name,
    description: tool.description,
    parametersJsonSchema:
      tool.parametersJsonSchema === undefined
        ? undefined
        : toJsonObject(tool.parametersJsonSchema, `the parameters of tool ${tool.name}`),
  };
}

function toToolConfig({ toolChoice, tools }: CompletionInput): GenerateContentBody["toolConfig"] {
  if (toolChoice === undefined || tools.length === 0) return undefined;
  return { functionCallingConfig: toFunctionCalling(toolChoice) };
}

function toFunctionCalling(toolChoice: NonNullable<CompletionInput["toolChoice"]>): GeminiFunctionCalling {
  switch (toolChoice.kind) {
    case "auto":
      return { mode: "AUTO" };
    case "none":
      return { mode: "NONE" };
    case "required":
      return { mode: "ANY" };
    case "tool":
      return { mode: "ANY", allowedFunctionNames: [toolChoice.name] };
    default:
      return toolChoice satisfies never;
  }
}

function toGenerationConfig(input: CompletionInput): GeminiGenerationConfig | undefined {
  const config: GeminiGenerationConfig = {
    maxOutputTokens: input.maxOutputTokens,
    temperature: input.temperature,
    topP: input.topP,
    stopSequences: input.stop.length > 0 ? input.stop : undefined,
    seed: input.seed === undefined ? undefined : toSafeNumber(input.seed, "seed"),
    ...(input.responseFormat && toResponseFormat(input.responseFormat)),
  };
  return Object.values(config).some((value) => value !== undefined) ? config : undefined;
}

function toResponseFormat(
  format: ResponseFormat,
): Pick<GeminiGenerationConfig, "responseMimeType" | "responseJsonSchema"> {
  switch (format.kind) {
    case "text":
      return {};
    case "json_object":
      return { responseMimeType: "application/json" };
    case "json_schema": {
      const schema = toJsonObject(format.schemaJson, "the schema of the response format");
      return { responseMimeType: "application/json", responseJsonSchema: schema };
    }
    default:
      return format satisfies never;
  }
}
