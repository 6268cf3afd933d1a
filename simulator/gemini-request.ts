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

const PATH_PATTERN = /\/models\/([^/:]+):(stream)?[gG]enerateContent(?:\?(.*))?$/;

/** The texts of the parts, results of functions included. */
function textOf(content: JsonObject, param: string): string {
  return requireList(content.parts, `${param}.parts`)
    .map((item, index) => {
      const part = requireObject(item, `${param}.parts[${index}]`);
      if (typeof part.text === "string") return part.text;
      const result = isObject(part.functionResponse) ? part.functionResponse.response : undefined;
      return isObject(result) && typeof result.output === "string" ? result.output : "";
    })
    .join("");
}

function readContents(value: unknown): { readonly bytes: number; readonly lastUserText: string } {
  const contents = requireList(value, "contents");
  if (contents.length === 0) throw new InvalidChatRequest("contents is not specified", "contents");
  let bytes = 0;
  let lastUserText = "";
  contents.forEach((item, index) => {
    const content = requireObject(item, `contents[${index}]`);
    if (content.role !== "user" && content.role !== "model")
      throw new InvalidChatRequest("Please use a valid role: user, model.", "role");
    const text = textOf(content, `contents[${index}]`);
    bytes += Buffer.byteLength(text);
    if (content.role === "user") lastUserText = text;
  });
  return { bytes, lastUserText };
}

function readTools(body: JsonObject): Pick<ChatRequest, "offersTools" | "forcedTool"> {
  const names = requireList(body.tools, "tools").flatMap((item, index) =>
    requireList(requireObject(item, `tools[${index}]`).functionDeclarations, "functionDeclarations").map(
      (declaration) => String(requireObject(declaration, "functionDeclarations").name),
    ),
  );
  const config = isObject(body.toolConfig) ? body.toolConfig.functionCallingConfig : undefined;
  const { mode, allowedFunctionNames } = isObject(config) ? config : {};
  if (mode === "NONE") return { offersTools: false, forcedTool: undefined };
  const allowed = requireList(allowedFunctionNames, "allowedFunctionNames").map(String);
  if (allowed.some((name) => !names.includes(name)))
    throw new InvalidChatRequest("allowedFunctionNames: not declared", "toolConfig");
  const forcedTool = mode === "ANY" ? (allowed[0] ?? names[0]) : undefined;
  return { offersTools: names.length > 0, forcedTool };
}

/**
 * Checks the body of `POST …:generateContent` about as strictly as the provider does; the path names the model.
 * @throws InvalidChatRequest for what it would answer with 400.
 */
export function parseGeminiRequest(value: unknown, path: string): ChatRequest {
  const match = PATH_PATTERN.exec(path);
  if (!match) throw new InvalidChatRequest("no such method");
  const body = requireObject(value, "body");
  const system =
    body.systemInstruction === undefined
      ? ""
      : textOf(requireObject(body.systemInstruction, "systemInstruction"), "systemInstruction");
  const config = isObject(body.generationConfig) ? body.generationConfig : {};
  const { bytes, lastUserText } = readContents(body.contents);
  const stream = match[2] !== undefined;
  if (stream && match[3] !== "alt=sse") throw new InvalidChatRequest("only alt=sse is simulated");
  return {
    model: decodeURIComponent(match[1] ?? ""),
    stream,
    includeUsage: true,
    tokensIn: tokensOfBytes(bytes + Buffer.byteLength(system)),
    lastUserText,
    maxTokens:
      config.maxOutputTokens === undefined
        ? undefined
        : requireCount(config.maxOutputTokens, "maxOutputTokens"),
    ...readTools(body),
    jsonSchema:
      config.responseMimeType === "application/json" ? (config.responseJsonSchema ?? {}) : undefined,
  };
}
