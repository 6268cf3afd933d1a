import { parseScript, parseScriptText, type Script, ScriptError } from "./script.ts";

/** A script found inside a request. */
export interface EmbeddedScript {
  /** Only for this personality; for all when undefined. */
  readonly personality: string | undefined;
  readonly script: Script;
}

const OPENING = /\[\[sim(?::([a-z]+))?\s+(?=\{)/g;

/** Finds the `]]` that closes a directive: the first one before which the text is JSON. */
function findEnd(text: string, start: number): number {
  for (let end = text.indexOf("]]", start); end >= 0; end = text.indexOf("]]", end + 1)) {
    try {
      JSON.parse(text.slice(start, end));
      return end;
    } catch {
      // JSON itself may contain "]]": look further.
    }
  }
  throw new ScriptError(
    `simulator: a [[sim …]] directive without JSON or without its end: ${text.slice(start, start + 200)}`,
  );
}

/**
 * Finds every `[[sim {…}]]` and `[[sim:openai {…}]]` in a message, in order.
 * @throws ScriptError when a directive does not end, is not JSON, or is no script.
 */
export function findScriptsInText(text: string): readonly EmbeddedScript[] {
  if (!text.includes("[[sim")) return [];
  return Array.from(text.matchAll(OPENING), (match) => {
    const start = match.index + match[0].length;
    return { personality: match[1], script: parseScriptText(text.slice(start, findEnd(text, start))) };
  });
}

function parseSuffixValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * Splits `model;status=503;retryAfter=1` into the model and its script. Values are JSON, or else plain text.
 * @throws ScriptError when the suffix is no script.
 */
export function splitModelName(name: string): {
  readonly model: string;
  readonly script: Script | undefined;
} {
  const semicolon = name.indexOf(";");
  if (semicolon < 0) return { model: name, script: undefined };
  const fields = name
    .slice(semicolon + 1)
    .split(";")
    .map((field): [string, unknown] => {
      const equals = field.indexOf("=");
      if (equals < 0)
        throw new ScriptError(`simulator: a model suffix is name=value: ${JSON.stringify(field)}`);
      return [field.slice(0, equals), parseSuffixValue(field.slice(equals + 1))];
    });
  return { model: name.slice(0, semicolon), script: parseScript(Object.fromEntries(fields)) };
}
