import type { FinishReason, MessagePart } from "../../core/completion.ts";
import { type JsonObject, readArray, readObject, readText } from "../read-json.ts";

/** What the items of an output mean. */
export interface Output {
  readonly parts: readonly MessagePart[];
  /** There are calls of tools that the provider ran. */
  readonly hostedTools: boolean;
}

/** The items of a response; those that a message cannot hold are the caller's business. */
export function readOutput(output: unknown): Output {
  const items = readArray(output).map((item) => readObject(item) ?? {});
  return {
    parts: items.flatMap(readItem),
    hostedTools: items.some(isHostedTool),
  };
}

/**
 * Items that cost nothing but tokens: what the model itself writes, and calls of tools that the caller runs. Any other
 * is, or may be, the call of a tool that the provider runs and bills by the call, the session or the picture.
 */
const BILLED_BY_TOKENS: ReadonlySet<unknown> = new Set([
  "message",
  "reasoning",
  "compaction",
  "function_call",
  "custom_tool_call",
  "computer_call",
  "local_shell_call",
  "apply_patch_call",
  "mcp_list_tools",
  "mcp_approval_request",
]);

/** Whether an item is a call of a tool that the provider runs. */
export function isHostedTool({ type }: JsonObject): boolean {
  return typeof type === "string" && !BILLED_BY_TOKENS.has(type);
}

function readItem(item: JsonObject): readonly MessagePart[] {
  switch (item.type) {
    case "message":
      return readArray(item.content).flatMap((value) => readContent(readObject(value) ?? {}));
    case "reasoning": {
      const texts = [...readArray(item.summary), ...readArray(item.content)].map((part) =>
        readText(readObject(part)?.text),
      );
      const text = texts.filter((each) => each !== undefined).join("\n\n");
      return text === "" ? [] : [{ kind: "reasoning", text }];
    }
    default: {
      const call = readToolCall(item);
      return call ? [{ kind: "tool_call", ...call }] : [];
    }
  }
}

function readContent({ type, text, refusal }: JsonObject): readonly MessagePart[] {
  const said = readText(type === "refusal" ? refusal : text);
  return said === undefined ? [] : [{ kind: type === "refusal" ? "refusal" : "text", text: said }];
}

/** A call of a tool that the caller runs, if the item is one. What a custom tool is given is text, not JSON. */
export function readToolCall(item: JsonObject) {
  if (item.type !== "function_call" && item.type !== "custom_tool_call") return undefined;
  return {
    id: readText(item.call_id) ?? "",
    name: readText(item.name) ?? "",
    argumentsJson: readText(item.type === "function_call" ? item.arguments : item.input) ?? "",
  };
}

/** Why a response ended that did not fail. */
export function readFinishReason({ status, incomplete_details: details }: JsonObject, callsTools: boolean) {
  if (status !== "incomplete") return callsTools ? "tool_calls" : "stop";
  const isFiltered = readObject(details)?.reason === "content_filter";
  return (isFiltered ? "content_filter" : "length") satisfies FinishReason;
}
