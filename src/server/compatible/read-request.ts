import { isUtf8 } from "node:buffer";
import { GatewayError } from "../../core/errors.ts";
import { type JsonObject, readObject } from "../../providers/read-json.ts";

/** Limits that the RPCs have, too: see `completion.proto`. */
const MODEL_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$/;
const MAX_FALLBACK_MODELS = 8;
const MAX_TAGS = 16;
const TAG_NAME_PATTERN = /^[A-Za-z0-9_.-]{1,63}$/;
const MAX_TAG_LENGTH = 128;
export const MAX_END_USER_LENGTH = 128;

/** Names a member of ours: models to try when `model` fails. */
export const FALLBACK_MODELS = "fallback_models";

/** A body's text, and the same parsed. @throws GatewayError INVALID_REQUEST */
export function parseBody(bytes: Uint8Array): { readonly text: string; readonly body: JsonObject } {
  if (!isUtf8(bytes)) throw invalid(undefined, "The body of your request is not valid UTF-8.");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(undefined, "We could not parse the JSON body of your request.");
  }
  const body = readObject(value);
  if (!body) throw invalid(undefined, "The body of your request must be a JSON object.");
  return { text, body };
}

/** @throws GatewayError INVALID_REQUEST */
export function readFallbackModels({ [FALLBACK_MODELS]: value }: JsonObject): readonly string[] {
  if (value === undefined || value === null) return [];
  const isName = (item: unknown) => typeof item === "string" && MODEL_PATTERN.test(item);
  if (Array.isArray(value) && value.length <= MAX_FALLBACK_MODELS && value.every(isName)) return value;
  throw invalid(
    FALLBACK_MODELS,
    `Invalid '${FALLBACK_MODELS}': expected at most ${MAX_FALLBACK_MODELS} names of models.`,
  );
}

/** A tag that does not fit is refused: costs would silently lack their attribution. */
export function readTags(body: JsonObject, member: string): Readonly<Record<string, string>> {
  const value = body[member];
  if (value === undefined || value === null) return {};
  const tags = readObject(value);
  const entries = Object.entries(tags ?? {});
  if (!tags || entries.length > MAX_TAGS)
    throw invalid(member, `Invalid '${member}': expected an object of at most ${MAX_TAGS} texts.`);
  for (const [name, tag] of entries) {
    if (!TAG_NAME_PATTERN.test(name) || typeof tag !== "string" || tag.length > MAX_TAG_LENGTH)
      throw invalid(
        member,
        `Invalid '${member}': names are at most 63 of A-Z a-z 0-9 _ . - and values are texts of at most ` +
          `${MAX_TAG_LENGTH} characters, for they are tags of the costs.`,
      );
  }
  return Object.fromEntries(entries.map(([name, tag]) => [name, String(tag)]));
}

/** The end user's name, by the first of the members that has one. @throws GatewayError INVALID_REQUEST */
export function readEndUser(body: JsonObject, members: readonly string[]): string | undefined {
  for (const member of members) {
    const value = body[member];
    if (value === undefined || value === null || value === "") continue;
    if (typeof value === "string" && value.length <= MAX_END_USER_LENGTH) return value;
    throw invalid(
      member,
      `Invalid '${member}': expected a text of at most ${MAX_END_USER_LENGTH} characters.`,
    );
  }
  return undefined;
}

/** @throws GatewayError INVALID_REQUEST */
export function readModel({ model }: JsonObject): string {
  if (typeof model !== "string" || model === "") throw invalid("model", "you must provide a model parameter");
  if (MODEL_PATTERN.test(model)) return model;
  throw invalid("model", "Invalid 'model': not a name that a model can have.");
}

/** @throws GatewayError INVALID_REQUEST */
export function readStreamed({ stream }: JsonObject): boolean {
  if (stream === undefined || stream === null || typeof stream === "boolean") return stream === true;
  throw invalid("stream", "Invalid type for 'stream': expected a boolean.");
}

/** What is wrong, and with which member, if with one. */
export function invalid(field: string | undefined, message: string): GatewayError {
  return new GatewayError("INVALID_REQUEST", message, {
    fieldViolations: field === undefined ? [] : [{ field, description: message }],
  });
}

/** More names than this are not told, and none that is no name. */
const MAX_IGNORED = 20;
const MEMBER_PATTERN = /^[\w.-]{1,64}$/;

/**
 * Names the members of a body that say something and that a translation, which knows the given ones, leaves out.
 * @param defaults what members mean that say nothing
 */
export function ignoredMembers(
  body: JsonObject,
  translated: ReadonlySet<string>,
  defaults: ReadonlyMap<string, unknown>,
): readonly string[] {
  return Object.entries(body)
    .filter(([name, value]) => value !== null && !translated.has(name) && defaults.get(name) !== value)
    .map(([name]) => name)
    .filter((name) => MEMBER_PATTERN.test(name))
    .slice(0, MAX_IGNORED);
}
