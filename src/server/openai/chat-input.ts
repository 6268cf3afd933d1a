import type {
  CompletionInput,
  ImageDetail,
  Message,
  MessagePart,
  MessageRole,
  ResponseFormat,
  Tool,
  ToolChoice,
} from "../../core/completion.ts";
import { type JsonObject, readArray, readObject } from "../../providers/read-json.ts";

/** A chat request as the gateway understands it. */
export interface ChatInput {
  readonly input: CompletionInput;
  /** Paths of what it does not understand and a translation must not leave out. */
  readonly untranslatable: readonly string[];
}

const ROLES: ReadonlyMap<unknown, MessageRole> = new Map([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
  ["tool", "tool"],
]);

/**
 * Reads a chat request leniently: what is wrong with it is for the provider to say, in its own words. It is used for
 * estimates, and for providers of other dialects.
 */
export function toChatInput(body: JsonObject, endUser: string | undefined): ChatInput {
  const untranslatable: string[] = [];
  const messages = readArray(body.messages).map((message, index) =>
    toMessage(message, `messages[${index}]`, untranslatable),
  );
  for (const legacy of ["functions", "function_call"]) if (isSet(body[legacy])) untranslatable.push(legacy);
  return {
    input: {
      messages,
      tools: toTools(body.tools, untranslatable),
      toolChoice: toToolChoice(body.tool_choice, untranslatable),
      parallelToolCalls: typeof body.parallel_tool_calls === "boolean" ? body.parallel_tool_calls : undefined,
      responseFormat: toResponseFormat(body.response_format, untranslatable),
      maxOutputTokens: asCount(body.max_completion_tokens) ?? asCount(body.max_tokens),
      temperature: asNumber(body.temperature),
      topP: asNumber(body.top_p),
      stop: typeof body.stop === "string" ? [body.stop] : readArray(body.stop).filter((stop) => isText(stop)),
      seed: Number.isSafeInteger(body.seed) ? BigInt(Number(body.seed)) : undefined,
      endUser,
    },
    untranslatable,
  };
}

function toMessage(value: unknown, path: string, untranslatable: string[]): Message {
  const message = readObject(value) ?? {};
  const role = ROLES.get(message.role);
  if (role === undefined) untranslatable.push(`${path}.role`);
  const name = asText(message.name);
  if (role === "tool") {
    const text = joinText(message.content, path, untranslatable);
    return {
      role,
      name,
      parts: [{ kind: "tool_result", toolCallId: asText(message.tool_call_id) ?? "", text }],
    };
  }
  const parts: MessagePart[] = [];
  const reasoning = asText(message.reasoning_content);
  if (reasoning !== undefined) parts.push({ kind: "reasoning", text: reasoning });
  addContent(parts, message.content, path, untranslatable);
  const refusal = asText(message.refusal);
  if (refusal !== undefined) parts.push({ kind: "refusal", text: refusal });
  for (const [index, call] of readArray(message.tool_calls).entries())
    addToolCall(parts, call, `${path}.tool_calls[${index}]`, untranslatable);
  for (const member of ["audio", "function_call"])
    if (isSet(message[member])) untranslatable.push(`${path}.${member}`);
  return { role: role ?? "user", name, parts };
}

function addContent(parts: MessagePart[], content: unknown, path: string, untranslatable: string[]): void {
  if (isText(content)) {
    parts.push({ kind: "text", text: content });
    return;
  }
  readArray(content).forEach((value, index) => {
    const part = toPart(readObject(value));
    if (part) parts.push(part);
    else untranslatable.push(`${path}.content[${index}]`);
  });
}

function toPart(part: JsonObject | undefined): MessagePart | undefined {
  if (part?.type === "text" && isText(part.text)) return { kind: "text", text: part.text };
  if (part?.type === "refusal" && isText(part.refusal)) return { kind: "refusal", text: part.refusal };
  const image = part?.type === "image_url" ? readObject(part.image_url) : undefined;
  if (!isText(image?.url)) return undefined;
  return { kind: "image", source: { kind: "url", url: image.url }, detail: toDetail(image.detail) };
}

function toDetail(detail: unknown): ImageDetail | undefined {
  return detail === "low" || detail === "high" || detail === "auto" ? detail : undefined;
}

function joinText(content: unknown, path: string, untranslatable: string[]): string {
  const parts: MessagePart[] = [];
  addContent(parts, content, path, untranslatable);
  return parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
}

function addToolCall(parts: MessagePart[], value: unknown, path: string, untranslatable: string[]): void {
  const call = readObject(value);
  const target = readObject(call?.function);
  if (!target) {
    untranslatable.push(path);
    return;
  }
  parts.push({
    kind: "tool_call",
    id: asText(call?.id) ?? "",
    name: asText(target.name) ?? "",
    argumentsJson: asText(target.arguments) ?? "",
  });
}

function toTools(value: unknown, untranslatable: string[]): readonly Tool[] {
  return readArray(value).flatMap((item, index) => {
    const tool = readObject(readObject(item)?.function);
    if (!tool) {
      untranslatable.push(`tools[${index}]`);
      return [];
    }
    return {
      name: asText(tool.name) ?? "",
      description: asText(tool.description),
      parametersJsonSchema: isSet(tool.parameters) ? JSON.stringify(tool.parameters) : undefined,
      strict: typeof tool.strict === "boolean" ? tool.strict : undefined,
    };
  });
}

function toToolChoice(value: unknown, untranslatable: string[]): ToolChoice | undefined {
  if (!isSet(value)) return undefined;
  if (value === "auto" || value === "none" || value === "required") return { kind: value };
  const name = readObject(readObject(value)?.function)?.name;
  if (isText(name)) return { kind: "tool", name };
  untranslatable.push("tool_choice");
  return undefined;
}

function toResponseFormat(value: unknown, untranslatable: string[]): ResponseFormat | undefined {
  const format = readObject(value);
  if (!format) return undefined;
  if (format.type === "text" || format.type === "json_object") return { kind: format.type };
  const schema = readObject(format.json_schema);
  if (format.type === "json_schema" && schema) {
    return {
      kind: "json_schema",
      name: asText(schema.name) ?? "",
      schemaJson: JSON.stringify(schema.schema ?? {}),
      strict: schema.strict === true,
    };
  }
  untranslatable.push("response_format");
  return undefined;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isSet = (value: unknown): boolean => value !== undefined && value !== null;
const asText = (value: unknown): string | undefined => (isText(value) && value !== "" ? value : undefined);
const asNumber = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
const asCount = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : undefined;
