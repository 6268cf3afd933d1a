import type { ImageSource, MessagePart } from "../core/completion.ts";
import { ProviderError } from "../core/provider-error.ts";
import { type JsonObject, parseJson, readObject } from "./read-json.ts";

/** What a dialect cannot say: refused before anything is sent, so that nothing is dropped silently. */
export function invalidRequest(detail: string): ProviderError {
  return new ProviderError(
    "PROVIDER_INVALID_REQUEST",
    `the request cannot be sent to the provider: ${detail}`,
    { billing: "not_billed" },
  );
}

/** JSON text of an object, such as a schema. @throws ProviderError PROVIDER_INVALID_REQUEST when it is none */
export function toJsonObject(json: string, what: string): JsonObject {
  const object = readObject(parseJson(json));
  if (object === undefined) throw invalidRequest(`${what} is not a JSON object`);
  return object;
}

/** @throws ProviderError PROVIDER_INVALID_REQUEST when JSON cannot carry it exactly */
export function toSafeNumber(value: bigint, what: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw invalidRequest(`the ${what} exceeds ±(2^53 − 1)`);
  return number;
}

/**
 * A model's name as one part of a path.
 * @throws ProviderError PROVIDER_INVALID_REQUEST for a name that would be no such part
 */
export function toPathPart(model: string): string {
  if (/^\.{0,2}$/.test(model)) throw invalidRequest("this is not the name of a model");
  return encodeURIComponent(model.toWellFormed());
}

/** The text parts of a message, joined. @throws ProviderError PROVIDER_INVALID_REQUEST for any other part */
export function joinText(parts: readonly MessagePart[], role: string): string {
  return parts
    .map((part) => {
      if (part.kind === "text") return part.text;
      throw invalidRequest(`a ${role} message cannot hold a ${part.kind} part`);
    })
    .join("");
}

/** The bytes of an image as Base64 with their media type. */
export interface EncodedImage {
  readonly mediaType: string;
  readonly base64: string;
}

const DATA_URL_PATTERN = /^data:([\w.+-]+\/[\w.+-]+);base64,([\w+/=-]*)$/;

/**
 * An image as Base64, when its bytes are in the request (also as a `data:` URL); undefined when it is to be fetched.
 * @throws ProviderError PROVIDER_INVALID_REQUEST for a `data:` URL that is not Base64
 */
export function encodeImage(source: ImageSource): EncodedImage | undefined {
  if (source.kind === "bytes") {
    const { buffer, byteOffset, byteLength } = source.bytes;
    const base64 = Buffer.from(buffer, byteOffset, byteLength).toString("base64");
    return { mediaType: source.mediaType, base64 };
  }
  if (!source.url.startsWith("data:")) return undefined;
  const match = DATA_URL_PATTERN.exec(source.url);
  if (!match) throw invalidRequest("an image's data: URL is not Base64");
  return { mediaType: match[1] ?? "", base64: match[2] ?? "" };
}
