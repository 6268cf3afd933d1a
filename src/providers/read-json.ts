/** A JSON object as it came off the wire: nothing about its members is known. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The value if it is a JSON object, not an array, not null. */
export function readObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined;
}

/** The value if it is an array, else an empty one. */
export function readArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/**
 * The value if it is a string that is not empty. A lone surrogate, which JSON can spell but UTF-8 and protobuf
 * cannot, becomes U+FFFD.
 */
export function readText(value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") return undefined;
  return value.isWellFormed() ? value : value.toWellFormed();
}

/** The value of JSON text, or undefined when it is not JSON. A leading byte order mark is ignored. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch {
    return undefined;
  }
}

/** What a body was that should have been a JSON object, without quoting it. */
export function describeBody(body: string): string {
  return body.trim() === "" ? "an empty body" : `no JSON object, ${body.length} characters`;
}
