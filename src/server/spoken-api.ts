import type { IncomingHttpHeaders } from "node:http";

/** Paths that only one of the APIs has. */
const ANTHROPIC_PATHS = /^\/v1\/messages(\/|$)/;
const OPENAI_PATHS = /^\/v1\/(chat\/completions|completions|embeddings|responses)(\/|$)/;

/**
 * In whose words a path of the compatible APIs is answered, whether there is anything at it or not: their clients ask for
 * more than there is, and read the error. What both have, such as `/v1/models`, is Anthropic's for who sends the header
 * that its clients always send. Undefined for a path that is of neither.
 */
export function spokenApi(path: string, headers: IncomingHttpHeaders): "openai" | "anthropic" | undefined {
  if (!path.startsWith("/v1/") || path.startsWith("/v1/costs")) return undefined;
  if (ANTHROPIC_PATHS.test(path)) return "anthropic";
  if (OPENAI_PATHS.test(path)) return "openai";
  return headers["anthropic-version"] === undefined ? "openai" : "anthropic";
}
