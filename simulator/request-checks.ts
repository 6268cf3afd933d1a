/** A request that the provider refuses with 400; `param` names the field. */
export class InvalidChatRequest extends Error {
  override readonly name = "InvalidChatRequest";
  readonly param: string | undefined;

  constructor(message: string, param?: string) {
    super(message);
    this.param = param;
  }
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function requireObject(value: unknown, param: string): JsonObject {
  if (isObject(value)) return value;
  throw new InvalidChatRequest(`${param}: expected an object`, param);
}

/** A list, which may be missing. */
export function requireList(value: unknown, param: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw new InvalidChatRequest(`${param}: expected an array`, param);
}

/** A whole number of at least one. */
export function requireCount(value: unknown, param: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidChatRequest(`${param}: expected an integer of at least 1`, param);
}
