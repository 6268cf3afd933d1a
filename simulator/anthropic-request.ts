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

const ROLES: ReadonlySet<unknown> = new Set(["user", "assistant", "system"]);

/** The text of a content: a string, or the texts of its blocks, results of tools included. */
function textOf(content: unknown, param: string): string {
  if (content === undefined) return "";
  if (typeof content === "string") return content;
  return requireList(content, param)
    .map((item, index) => {
      const block = requireObject(item, `${param}.${index}`);
      if (block.type === "text") return typeof block.text === "string" ? block.text : "";
      return block.type === "tool_result" ? textOf(block.content, `${param}.${index}.content`) : "";
    })
    .join("");
}

function readMessages(value: unknown): { readonly bytes: number; readonly lastUserText: string } {
  const messages = requireList(value, "messages");
  if (messages.length === 0)
    throw new InvalidChatRequest("messages: at least one message is required", "messages");
  let bytes = 0;
  let lastUserText = "";
  messages.forEach((item, index) => {
    const message = requireObject(item, `messages.${index}`);
    if (!ROLES.has(message.role)) throw new InvalidChatRequest(`messages.${index}.role: unknown`, "role");
    const text = textOf(message.content, `messages.${index}.content`);
    bytes += Buffer.byteLength(text);
    if (message.role === "user") lastUserText = text;
  });
  return { bytes, lastUserText };
}

function readTools(body: JsonObject): Pick<ChatRequest, "offersTools" | "forcedTool"> {
  const names = requireList(body.tools, "tools").map((item, index) => {
    const { name, input_schema: schema } = requireObject(item, `tools.${index}`);
    if (typeof name !== "string" || name === "")
      throw new InvalidChatRequest("tools: a name is required", "tools");
    requireObject(schema, `tools.${index}.input_schema`);
    return name;
  });
  const choice = isObject(body.tool_choice) ? body.tool_choice : { type: "auto" };
  if (choice.type === "none") return { offersTools: false, forcedTool: undefined };
  const forced = choice.type === "any" ? names[0] : choice.type === "tool" ? choice.name : undefined;
  const forcedTool = names.find((name) => name === forced);
  if (forced !== forcedTool) {
    throw new InvalidChatRequest("tool_choice: not among the tools", "tool_choice");
  }
  return { offersTools: names.length > 0, forcedTool };
}

function readJsonSchema(config: unknown): unknown {
  if (!isObject(config) || !isObject(config.format)) return undefined;
  if (config.format.type !== "json_schema")
    throw new InvalidChatRequest("output_config.format.type: unknown", "format");
  return requireObject(config.format.schema, "output_config.format.schema");
}

/**
 * Checks the body of `POST …/messages` about as strictly as the provider does.
 * @throws InvalidChatRequest for what it would answer with 400.
 */
export function parseAnthropicRequest(value: unknown): ChatRequest {
  const body = requireObject(value, "body");
  if (typeof body.model !== "string" || body.model === "")
    throw new InvalidChatRequest("model: field required", "model");
  const { bytes, lastUserText } = readMessages(body.messages);
  return {
    model: body.model,
    stream: body.stream === true,
    includeUsage: true,
    tokensIn: tokensOfBytes(bytes + Buffer.byteLength(textOf(body.system, "system"))),
    lastUserText,
    maxTokens: requireCount(body.max_tokens, "max_tokens"),
    ...readTools(body),
    jsonSchema: readJsonSchema(body.output_config),
  };
}
