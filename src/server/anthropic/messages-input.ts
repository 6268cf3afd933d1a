import type {
  CompletionInput,
  Message,
  MessagePart,
  ResponseFormat,
  Tool,
  ToolChoice,
} from "../../core/completion.ts";
import { type JsonObject, readArray, readObject } from "../../providers/read-json.ts";
import { ignoredMembers } from "../compatible/read-request.ts";

/** A Messages request as the gateway understands it. */
export interface MessagesInput {
  readonly input: CompletionInput;
  /** Paths of what it does not understand and a translation must not leave out. */
  readonly untranslatable: readonly string[];
  /** Names of what stands within messages and tools, and a translation leaves out. */
  readonly ignored: readonly string[];
}

/** Members that name a part of the conversation, or of its tools, that is kept somewhere else. */
const ELSEWHERE = ["container", "mcp_servers"] as const;

/** What other providers are told of a tool, and what members mean that say nothing. */
const TRANSLATED_OF_TOOL: ReadonlySet<string> = new Set([
  ...["type", "name", "description", "input_schema", "strict"],
]);
const DEFAULTS_OF_TOOL: ReadonlyMap<string, unknown> = new Map([["defer_loading", false]]);

/** Names the member that continues what Anthropic keeps of a conversation. */
export const THREAD = "thread";

/**
 * Reads a Messages request leniently: what is wrong with it is for the provider to say, in its own words. It is used for
 * estimates, and for providers of other dialects.
 */
export function toMessagesInput(body: JsonObject, endUser: string | undefined): MessagesInput {
  const reader = new MessagesReader();
  const choice = readObject(body.tool_choice);
  const input: CompletionInput = {
    messages: [...reader.readSystem(body.system), ...reader.readMessages(body.messages)],
    tools: reader.readTools(body.tools),
    toolChoice: reader.readToolChoice(choice),
    parallelToolCalls: choice?.disable_parallel_tool_use === true ? false : undefined,
    responseFormat: reader.readFormat(readObject(body.output_config)?.format),
    maxOutputTokens: asCount(body.max_tokens),
    temperature: asNumber(body.temperature),
    topP: asNumber(body.top_p),
    stop: readArray(body.stop_sequences).filter((stop) => isText(stop)),
    seed: undefined,
    endUser,
  };
  for (const member of ELSEWHERE) if (isSet(body[member])) reader.untranslatable.push(member);
  // A thread that begins has its whole conversation with it.
  if (isSet(body.thread) && readObject(body.thread)?.type !== "create") reader.untranslatable.push(THREAD);
  // An answer of no tokens only fills Anthropic's cache.
  if (body.max_tokens === 0) reader.untranslatable.push("max_tokens");
  return { input, untranslatable: reader.untranslatable, ignored: [...reader.ignored] };
}

class MessagesReader {
  readonly untranslatable: string[] = [];
  readonly ignored = new Set<string>();

  readSystem(system: unknown): readonly Message[] {
    const parts = this.#readContent(system, "system");
    return parts.length === 0 ? [] : [{ role: "system", name: undefined, parts }];
  }

  readMessages(messages: unknown): readonly Message[] {
    return readArray(messages).flatMap((value, index) =>
      this.#readMessage(readObject(value) ?? {}, `messages[${index}]`),
    );
  }

  /** Results of tools are messages of their own, before what else the user says. */
  #readMessage({ role, content }: JsonObject, path: string): readonly Message[] {
    const known = role === "user" || role === "assistant" || role === "system";
    if (!known) this.untranslatable.push(`${path}.role`);
    const parts = this.#readContent(content, `${path}.content`);
    const results = parts.filter(({ kind }) => kind === "tool_result");
    const rest = parts.filter(({ kind }) => kind !== "tool_result");
    const messages: Message[] = results.map((part) => ({ role: "tool", name: undefined, parts: [part] }));
    // A turn of which nothing can be told is none; one that says nothing is for the provider to refuse.
    if (rest.length > 0 || readArray(content).length === 0)
      messages.push({ role: known ? role : "user", name: undefined, parts: rest });
    return messages;
  }

  #readContent(content: unknown, path: string): readonly MessagePart[] {
    if (isText(content)) return [{ kind: "text", text: content }];
    return readArray(content).flatMap((value, index) => {
      const block = readObject(value) ?? {};
      this.#noteIgnored(block);
      const parts = this.#readBlock(block, `${path}[${index}]`);
      if (parts === undefined) this.untranslatable.push(`${path}[${index}]`);
      return parts ?? [];
    });
  }

  /** Undefined for what has no place in the typed input. */
  #readBlock(block: JsonObject, path: string): readonly MessagePart[] | undefined {
    switch (block.type) {
      case "text":
        return isText(block.text) ? [{ kind: "text", text: block.text }] : undefined;
      case "image": {
        const url = readImageUrl(readObject(block.source));
        return url === undefined
          ? undefined
          : [{ kind: "image", source: { kind: "url", url }, detail: undefined }];
      }
      case "tool_use": {
        const argumentsJson = JSON.stringify(block.input ?? {});
        return [
          { kind: "tool_call", id: asText(block.id) ?? "", name: asText(block.name) ?? "", argumentsJson },
        ];
      }
      case "tool_result":
        return [this.#readResult(block, path)];
      case "thinking":
        return isText(block.thinking) ? [{ kind: "reasoning", text: block.thinking }] : [];
      case "redacted_thinking":
        // Nobody but Anthropic can read it.
        return [];
      default:
        return undefined;
    }
  }

  #readResult(block: JsonObject, path: string): MessagePart {
    let text = isText(block.content) ? block.content : "";
    readArray(block.content).forEach((value, index) => {
      const part = readObject(value) ?? {};
      this.#noteIgnored(part);
      if (part.type === "text" && isText(part.text)) text += part.text;
      else this.untranslatable.push(`${path}.content[${index}]`);
    });
    return {
      kind: "tool_result",
      toolCallId: asText(block.tool_use_id) ?? "",
      text,
      ...(block.is_error === true && { isError: true }),
    };
  }

  readTools(tools: unknown): readonly Tool[] {
    return readArray(tools).flatMap((value, index) => {
      const tool = readObject(value) ?? {};
      const isCustom = !isSet(tool.type) || tool.type === "custom";
      if (!isCustom) {
        this.untranslatable.push(`tools[${index}]`);
        return [];
      }
      for (const name of ignoredMembers(tool, TRANSLATED_OF_TOOL, DEFAULTS_OF_TOOL)) this.ignored.add(name);
      return {
        name: asText(tool.name) ?? "",
        description: asText(tool.description),
        parametersJsonSchema: isSet(tool.input_schema) ? JSON.stringify(tool.input_schema) : undefined,
        strict: typeof tool.strict === "boolean" ? tool.strict : undefined,
      };
    });
  }

  readToolChoice(choice: JsonObject | undefined): ToolChoice | undefined {
    switch (choice?.type) {
      case undefined:
        return undefined;
      case "auto":
      case "none":
        return { kind: choice.type };
      case "any":
        return { kind: "required" };
      case "tool":
        if (isText(choice.name)) return { kind: "tool", name: choice.name };
        break;
      default:
    }
    this.untranslatable.push("tool_choice");
    return undefined;
  }

  /** Anthropic keeps to a schema, or refuses it: so does a strict one. */
  readFormat(value: unknown): ResponseFormat | undefined {
    if (!isSet(value)) return undefined;
    const format = readObject(value);
    if (format?.type === "json_schema" && readObject(format.schema)) {
      return {
        kind: "json_schema",
        name: "answer",
        schemaJson: JSON.stringify(format.schema),
        strict: true,
      };
    }
    this.untranslatable.push("output_config.format");
    return undefined;
  }

  #noteIgnored({ cache_control, citations }: JsonObject): void {
    if (isSet(cache_control)) this.ignored.add("cache_control");
    if (isSet(citations)) this.ignored.add("citations");
  }
}

function readImageUrl(source: JsonObject | undefined): string | undefined {
  if (source?.type === "url" && isText(source.url)) return source.url;
  if (source?.type !== "base64" || !isText(source.media_type) || !isText(source.data)) return undefined;
  return `data:${source.media_type};base64,${source.data}`;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isSet = (value: unknown): boolean => value !== undefined && value !== null;
const asText = (value: unknown): string | undefined => (isText(value) && value !== "" ? value : undefined);
const asNumber = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
const asCount = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : undefined;
