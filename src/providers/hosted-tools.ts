import { type JsonObject, readArray, readObject } from "./read-json.ts";

/**
 * Tools that a provider runs and bills by the call show in different places. These are of chat completions: citations of a web search,
 * and what Groq's compound systems ran (`executed_tools`), in a message or a delta.
 */
export function messageShowsTools({ annotations, executed_tools: executedTools }: JsonObject): boolean {
  return readArray(annotations).length > 0 || readArray(executedTools).length > 0;
}

/** The same in a usage: xAI counts sources and tools there, OpenRouter states what they cost (documentation of November 2026). */
export function usageShowsTools(usage: unknown): boolean {
  const stated = readObject(usage);
  if (stated === undefined) return false;
  const { num_sources_used: sources, num_server_side_tools_used: tools, cost_details: costs } = stated;
  const toolCost = readObject(costs)?.server_tool_cost;
  return [sources, tools, toolCost].some((value) => typeof value === "number" && value > 0);
}
