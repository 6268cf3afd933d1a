import type {
  CompletionInput,
  Message,
  MessagePart,
  MessageRole,
  ResponseFormat,
  Tool,
} from "../../core/completion.ts";
import { type JsonObject, readArray, readObject, readText } from "../../providers/read-json.ts";

const ROLES: ReadonlyMap<unknown, MessageRole> = new Map([
  ["system", "system"],
  ["developer", "system"],
  ["assistant", "assistant"],
]);

/**
 * What the model reads, for admission and estimates; what is wrong with it is for the provider to say. What the provider
 * keeps of earlier turns is not in it, nor what is in files: the usage that the provider reports has both.
 */
export function toResponsesInput(body: JsonObject, endUser: string | undefined): CompletionInput {
  return {
    messages: [...instructions(body.instructions), ...toMessages(body.input)],
    tools: readArray(body.tools).map((tool) => toTool(readObject(tool) ?? {})),
    toolChoice: undefined,
    parallelToolCalls: typeof body.parallel_tool_calls === "boolean" ? body.parallel_tool_calls : undefined,
    responseFormat: toResponseFormat(readObject(readObject(body.text)?.format) ?? {}),
    maxOutputTokens: asCount(body.max_output_tokens),
    temperature: asNumber(body.temperature),
    topP: asNumber(body.top_p),
    stop: [],
    seed: undefined,
    endUser,
  };
}

function instructions(value: unknown): readonly Message[] {
  const text = readText(value);
  return text === undefined ? toMessages(value) : [toMessage("system", [{ kind: "text", text }])];
}

/** A text is what the user says. */
function toMessages(input: unknown): readonly Message[] {
  const text = readText(input);
  if (text !== undefined) return [toMessage("user", [{ kind: "text", text }])];
  return readArray(input).map((item) => readItem(readObject(item) ?? {}));
}

function toMessage(role: MessageRole, parts: readonly MessagePart[]): Message {
  return { role, name: undefined, parts };
}

function readItem(item: JsonObject): Message {
  switch (item.type) {
    case "function_call":
    case "custom_tool_call":
      return toMessage("assistant", [
        {
          kind: "tool_call",
          id: readText(item.call_id) ?? "",
          name: readText(item.name) ?? "",
          argumentsJson: readText(item.arguments) ?? readText(item.input) ?? "",
        },
      ]);
    case "function_call_output":
    case "custom_tool_call_output": {
      const toolCallId = readText(item.call_id) ?? "";
      const parts = readContent(item.output);
      const text = parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
      const images = parts.filter(({ kind }) => kind === "image");
      return toMessage("tool", [{ kind: "tool_result", toolCallId, text }, ...images]);
    }
    case "reasoning": {
      const texts = [...readArray(item.summary), ...readArray(item.content)];
      return toMessage(
        "assistant",
        texts.map((part) => ({ kind: "reasoning", text: readText(readObject(part)?.text) ?? "" })),
      );
    }
    default:
      return toMessage(ROLES.get(item.role) ?? "user", readContent(item.content));
  }
}

function readContent(content: unknown): readonly MessagePart[] {
  const whole = readText(content);
  if (whole !== undefined) return [{ kind: "text", text: whole }];
  return readArray(content).flatMap((value): readonly MessagePart[] => {
    const part = readObject(value) ?? {};
    if (part.type === "input_image") return [toImage(part)];
    const text = readText(part.text) ?? readText(part.refusal);
    return text === undefined ? [] : [{ kind: "text", text }];
  });
}

function toImage({ image_url: url, detail }: JsonObject): MessagePart {
  return {
    kind: "image",
    source: { kind: "url", url: readText(url) ?? "" },
    detail: detail === "low" || detail === "high" || detail === "auto" ? detail : undefined,
  };
}

/** A tool of the provider's has no name: its type is all that is known of what the model reads of it. */
function toTool({ name, type, description, parameters, strict }: JsonObject): Tool {
  return {
    name: readText(name) ?? readText(type) ?? "",
    description: readText(description),
    parametersJsonSchema: readObject(parameters) && JSON.stringify(parameters),
    strict: typeof strict === "boolean" ? strict : undefined,
  };
}

function toResponseFormat({ type, name, schema, strict }: JsonObject): ResponseFormat | undefined {
  if (type !== "json_schema") return undefined;
  const schemaJson = JSON.stringify(schema ?? {});
  return { kind: type, name: readText(name) ?? "", schemaJson, strict: strict === true };
}

const asNumber = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
const asCount = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : undefined;
