/** What becomes of the members of an object: a new value as JSON text, or undefined to leave the member out. */
export type MemberChanges = ReadonlyMap<string, string | undefined>;

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = "\\".charCodeAt(0);
const COMMA = ",".charCodeAt(0);
const OPEN_BRACE = "{".charCodeAt(0);
const CLOSE_BRACE = "}".charCodeAt(0);
const OPEN_BRACKET = "[".charCodeAt(0);
const CLOSE_BRACKET = "]".charCodeAt(0);
/** JSON's white space is the space and three characters below it. */
const SPACE = 0x20;

/**
 * Changes members of a JSON object in its text. All other members stay as they were written, to the last digit:
 * decoding and encoding would round large numbers, and costs milliseconds for a picture. New values come first.
 *
 * @param json the text of a JSON object; it must have been parsed before, for nothing is checked here
 */
export function changeMembers(json: string, changes: MemberChanges): string {
  let changed = "{";
  for (const [name, value] of changes) {
    if (value !== undefined) changed += `${changed === "{" ? "" : ","}${JSON.stringify(name)}:${value}`;
  }
  let at = json.indexOf("{") + 1;
  /** Where members begin that stay and were not copied yet. */
  let keptFrom = -1;
  const copy = (until: number): void => {
    if (keptFrom >= 0) changed += `${changed === "{" ? "" : ","}${json.slice(keptFrom, until)}`;
    keptFrom = -1;
  };
  let keptUntil = at;
  for (;;) {
    at = skipSpace(json, at);
    const code = json.charCodeAt(at);
    if (code === COMMA) {
      at += 1;
      continue;
    }
    if (code !== QUOTE) break;
    const nameEnd = endOfString(json, at);
    const end = endOfValue(json, skipSpace(json, json.indexOf(":", nameEnd) + 1));
    if (changes.has(nameOf(json.slice(at, nameEnd)))) copy(keptUntil);
    else if (keptFrom < 0) keptFrom = at;
    keptUntil = end;
    at = end;
  }
  copy(keptUntil);
  return `${changed}}`;
}

function nameOf(quoted: string): string {
  return quoted.includes("\\") ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}

function skipSpace(json: string, start: number): number {
  let at = start;
  while (at < json.length && json.charCodeAt(at) <= SPACE) at += 1;
  return at;
}

/** Behind the closing quote. Native search: most of a request is within strings. */
function endOfString(json: string, start: number): number {
  let quote = json.indexOf('"', start + 1);
  while (quote >= 0 && isEscaped(json, quote)) quote = json.indexOf('"', quote + 1);
  return quote < 0 ? json.length : quote + 1;
}

function isEscaped(json: string, at: number): boolean {
  let backslashes = 0;
  while (json.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}

function endOfValue(json: string, start: number): number {
  let at = start;
  let depth = 0;
  while (at < json.length) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(json, at);
      if (depth === 0) return at;
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth += 1;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      // The end of the object itself, behind a number or a word.
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (code === COMMA || code <= SPACE)) return at;
    at += 1;
  }
  return at;
}
