import type { ChatRequest } from "./chat-request.ts";
import {
  InvalidChatRequest,
  isObject,
  type JsonObject,
  requireCount,
  requireList,
  requireObject,
} from "./request-checks.ts";
import { tokensOfBytes } from "./tokens.ts";

const ROLES: ReadonlySet<unknown> = new Set(["user", "assistant", "system", "developer"]);

/** The text of a content or of a tool's output: a string, or the texts of its parts. */
function textOf(content: unknown, param: string): string {
  if (content === undefined || content === null) return "";
  if (typeof content === "string") return content;
  return requireList(content, param)
    .map((item, index) => {
      const { text } = requireObject(item, `${param}[${index}]`);
      return typeof text === "string" ? text : "";
    })
    .join("");
}

interface Input {
  readonly bytes: number;
  readonly lastUserText: string;
}

function readInput(input: unknown): Input {
  if (input === undefined || input === null)
    throw new InvalidChatRequest("Missing required parameter: 'input'.", "input");
  if (typeof input === "string") return { bytes: Buffer.byteLength(input), lastUserText: input };
  let bytes = 0;
  let lastUserText = "";
  requireList(input, "input").forEach((value, index) => {
    const param = `input[${index}]`;
    const item = requireObject(value, param);
    if (item.type === undefined || item.type === "message") {
      if (!ROLES.has(item.role)) {
        const message = `Invalid value: ${JSON.stringify(item.role)} for '${param}.role'.`;
        throw new InvalidChatRequest(message, `${param}.role`);
      }
      const text = textOf(item.content, `${param}.content`);
      bytes += Buffer.byteLength(text);
      if (item.role === "user") lastUserText = text;
    } else if (item.type === "function_call_output") {
      if (typeof item.call_id !== "string")
        throw new InvalidChatRequest(`Missing required parameter: '${param}.call_id'.`, `${param}.call_id`);
      bytes += Buffer.byteLength(textOf(item.output, `${param}.output`));
    }
  });
  return { bytes, lastUserText };
}

/** Tools of the provider's own have no name, and the simulator never uses them. */
function readTools(body: JsonObject): Pick<ChatRequest, "offersTools" | "forcedTool"> {
  const names: string[] = [];
  requireList(body.tools, "tools").forEach((value, index) => {
    const { type, name } = requireObject(value, `tools[${index}]`);
    if (type !== "function" && type !== "custom") return;
    if (typeof name !== "string" || name === "")
      throw new InvalidChatRequest(
        `Missing required parameter: 'tools[${index}].name'.`,
        `tools[${index}].name`,
      );
    names.push(name);
  });
  const choice = body.tool_choice;
  if (choice === "none") return { offersTools: false, forcedTool: undefined };
  const forced = isObject(choice) ? choice.name : undefined;
  return {
    offersTools: names.length > 0,
    forcedTool: choice === "required" ? names[0] : names.find((name) => name === forced),
  };
}

function readJsonSchema(text: unknown): unknown {
  if (!isObject(text) || !isObject(text.format)) return undefined;
  const { type, schema } = text.format;
  if (type === "json_object") return {};
  return type === "json_schema" ? requireObject(schema, "text.format.schema") : undefined;
}

/**
 * Checks the body of `POST …/responses` about as strictly as a provider does; unknown members are ignored.
 * @throws InvalidChatRequest for what it would answer with 400.
 */
export function parseResponsesRequest(value: unknown): ChatRequest {
  const body = requireObject(value, "body");
  const { model, stream, max_output_tokens: maxTokens } = body;
  if (typeof model !== "string" || model === "")
    throw new InvalidChatRequest("Missing required parameter: 'model'.", "model");
  const { bytes, lastUserText } = readInput(body.input);
  return {
    model,
    stream: stream === true,
    includeUsage: true,
    tokensIn: tokensOfBytes(bytes + Buffer.byteLength(textOf(body.instructions, "instructions"))),
    lastUserText,
    maxTokens:
      maxTokens === undefined || maxTokens === null
        ? undefined
        : requireCount(maxTokens, "max_output_tokens"),
    ...readTools(body),
    jsonSchema: readJsonSchema(body.text),
  };
}
