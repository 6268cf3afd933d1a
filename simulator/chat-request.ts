import type { EmbeddingRequest } from "./embeddings.ts";
import { InvalidChatRequest, isObject, type JsonObject } from "./request-checks.ts";
import { tokensOfBytes } from "./tokens.ts";

/** The parts of a request that decide the answer. */
export interface ChatRequest {
  /** As sent, a directive suffix included. */
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** `ceil(UTF-8 bytes / 4)` of the text of all messages, at least 1. Images and tool definitions count nothing. */
  readonly tokensIn: number;
  /** Empty when there is no user message. */
  readonly lastUserText: string;
  readonly maxTokens: number | undefined;
  readonly offersTools: boolean;
  /** The tool that `tool_choice` forces: the named one, or for `required` the first. */
  readonly forcedTool: string | undefined;
  /** `undefined` for plain text; `{}` for `json_object`. */
  readonly jsonSchema: unknown;
  /** What is to be embedded; then nothing is completed. */
  readonly embeddings?: EmbeddingRequest | undefined;
}

function requireObject(value: unknown, param: string): JsonObject {
  if (isObject(value)) return value;
  throw new InvalidChatRequest(`Invalid type for '${param}': expected an object.`, param);
}

const ROLES: ReadonlySet<unknown> = new Set(["system", "developer", "user", "assistant", "tool", "function"]);

/** The text of a message's content: a string, or the text parts joined. */
function textOf(content: unknown, param: string): string {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return "";
  if (!Array.isArray(content)) {
    throw new InvalidChatRequest(
      `Invalid type for '${param}': expected a string or an array of objects.`,
      param,
    );
  }
  return content
    .map((part, index) => {
      const { type, text } = requireObject(part, `${param}[${index}]`);
      if (typeof type !== "string")
        throw new InvalidChatRequest(`Missing required parameter: '${param}[${index}].type'.`, param);
      return type === "text" && typeof text === "string" ? text : "";
    })
    .join("");
}

function readMessages(value: unknown): { readonly bytes: number; readonly lastUserText: string } {
  if (value === undefined)
    throw new InvalidChatRequest("Missing required parameter: 'messages'.", "messages");
  if (!Array.isArray(value) || value.length === 0) {
    throw new InvalidChatRequest("Invalid 'messages': expected a non-empty array.", "messages");
  }
  let bytes = 0;
  let lastUserText = "";
  value.forEach((item, index) => {
    const param = `messages[${index}]`;
    const message = requireObject(item, param);
    if (!ROLES.has(message.role)) {
      throw new InvalidChatRequest(
        `Invalid value: ${JSON.stringify(message.role)} for '${param}.role'.`,
        `${param}.role`,
      );
    }
    if (message.role === "tool" && typeof message.tool_call_id !== "string") {
      throw new InvalidChatRequest(
        `Missing required parameter: '${param}.tool_call_id'.`,
        `${param}.tool_call_id`,
      );
    }
    const text = textOf(message.content, `${param}.content`);
    bytes += Buffer.byteLength(text);
    if (message.role === "user") lastUserText = text;
  });
  return { bytes, lastUserText };
}

function readMaxTokens(body: JsonObject): number | undefined {
  for (const param of ["max_completion_tokens", "max_tokens"]) {
    const value = body[param];
    if (value === undefined || value === null) continue;
    if (!Number.isSafeInteger(value) || Number(value) < 1) {
      throw new InvalidChatRequest(
        `Invalid '${param}': integer below minimum value. Expected a value >= 1.`,
        param,
      );
    }
    return Number(value);
  }
  return undefined;
}

function checkSampling(body: JsonObject): void {
  const limits: readonly (readonly [string, number, number])[] = [
    ["temperature", 0, 2],
    ["top_p", 0, 1],
  ];
  for (const [param, minimum, maximum] of limits) {
    const value = body[param];
    if (value === undefined || value === null) continue;
    if (typeof value !== "number" || value < minimum || value > maximum) {
      throw new InvalidChatRequest(
        `Invalid '${param}': expected a number from ${minimum} to ${maximum}.`,
        param,
      );
    }
  }
}

function readTools(body: JsonObject): Pick<ChatRequest, "offersTools" | "forcedTool"> {
  if (body.tools === undefined || body.tools === null) return { offersTools: false, forcedTool: undefined };
  if (!Array.isArray(body.tools))
    throw new InvalidChatRequest("Invalid type for 'tools': expected an array.", "tools");
  const names = body.tools.map((tool, index) => {
    const { name } = requireObject(
      requireObject(tool, `tools[${index}]`).function,
      `tools[${index}].function`,
    );
    if (typeof name === "string" && name !== "") return name;
    throw new InvalidChatRequest(`Missing required parameter: 'tools[${index}].function.name'.`, "tools");
  });
  const choice = body.tool_choice;
  if (choice === "none") return { offersTools: false, forcedTool: undefined };
  const forced = isObject(choice) && isObject(choice.function) ? choice.function.name : undefined;
  if (typeof forced === "string" && !names.includes(forced)) {
    throw new InvalidChatRequest(
      "Invalid value: 'tool_choice.function.name' is not among 'tools'.",
      "tool_choice",
    );
  }
  return {
    offersTools: names.length > 0,
    forcedTool: choice === "required" ? names[0] : typeof forced === "string" ? forced : undefined,
  };
}

function readJsonSchema(format: unknown): unknown {
  if (format === undefined || format === null) return undefined;
  const { type, json_schema: jsonSchema } = requireObject(format, "response_format");
  if (type === "text") return undefined;
  if (type === "json_object") return {};
  if (type !== "json_schema") {
    throw new InvalidChatRequest(
      `Invalid value: ${JSON.stringify(type)} for 'response_format.type'.`,
      "response_format.type",
    );
  }
  return requireObject(jsonSchema, "response_format.json_schema").schema ?? {};
}

/**
 * Checks the body of `POST …/chat/completions` about as strictly as a provider does; unknown fields and `n` are ignored.
 * @throws InvalidChatRequest for what a provider would answer with 400.
 */
export function parseChatRequest(body: unknown): ChatRequest {
  if (!isObject(body))
    throw new InvalidChatRequest("We could not parse the JSON body of your request: expected an object.");
  const { model, stream } = body;
  if (typeof model !== "string" || model === "")
    throw new InvalidChatRequest("you must provide a model parameter", "model");
  if (stream !== undefined && stream !== null && typeof stream !== "boolean") {
    throw new InvalidChatRequest("Invalid type for 'stream': expected a boolean.", "stream");
  }
  checkSampling(body);
  const { bytes, lastUserText } = readMessages(body.messages);
  return {
    model,
    stream: stream === true,
    includeUsage: isObject(body.stream_options) && body.stream_options.include_usage === true,
    tokensIn: tokensOfBytes(bytes),
    lastUserText,
    maxTokens: readMaxTokens(body),
    ...readTools(body),
    jsonSchema: readJsonSchema(body.response_format),
  };
}
