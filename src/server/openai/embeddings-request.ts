import type { NativeRequest } from "../../core/completion.ts";
import type { Embedded, EmbeddingInput } from "../../core/embedding.ts";
import type { JsonObject } from "../../providers/read-json.ts";
import {
  FALLBACK_MODELS,
  ignoredMembers,
  invalid,
  parseBody,
  readEndUser,
  readFallbackModels,
  readModel,
  readTags,
} from "../compatible/read-request.ts";

/** A body of `POST /v1/embeddings`. */
export interface EmbeddingsRequest {
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly endUser: string | undefined;
  readonly base64: boolean;
  readonly input: EmbeddingInput;
  readonly native: NativeRequest;
}

/** Limits that the RPC has, too: see `embedding.proto`. */
const MAX_ITEMS = 2048;
const MAX_TOKENS = 32_768;
const MAX_TOKEN = 2 ** 32 - 1;
const MAX_DIMENSIONS = 65_536;

/**
 * Reads the body, as far as the gateway needs it; the rest is the provider's.
 * @throws GatewayError INVALID_REQUEST, with the member that it is about
 */
export function parseEmbeddingsRequest(bytes: Uint8Array): EmbeddingsRequest {
  const { text, body } = parseBody(bytes);
  const model = readModel(body);
  const embedded = readInput(body);
  const endUser = readEndUser(body, ["user"]);
  const base64 = readBase64(body);
  const gatewayMembers = [FALLBACK_MODELS, "metadata"];
  return {
    model,
    fallbackModels: readFallbackModels(body),
    tags: readTags(body, "metadata"),
    endUser,
    base64,
    input: { embedded, dimensions: readDimensions(body), purpose: undefined, endUser },
    native: { dialect: "openai-embeddings", text, body, gatewayMembers, untranslatable: [] },
  };
}

/** A text, a list of texts, a list of tokens, or a list of such lists. */
function readInput({ input }: JsonObject): Embedded {
  if (input === undefined || input === null) throw invalid("input", "you must provide an input parameter");
  if (isText(input)) return { kind: "texts", texts: [input] };
  if (isTokens(input)) return { kind: "tokens", sequences: [input] };
  if (Array.isArray(input) && input.length > 0 && input.length <= MAX_ITEMS) {
    if (input.every(isText)) return { kind: "texts", texts: input };
    if (input.every(isTokens)) return { kind: "tokens", sequences: input };
  }
  throw invalid(
    "input",
    `Invalid 'input': expected a text that is not empty, an array of 1 to ${MAX_TOKENS} tokens, or an array of ` +
      `1 to ${MAX_ITEMS} of either.`,
  );
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isTokens = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length > 0 && value.length <= MAX_TOKENS && value.every(isToken);
const isToken = (value: unknown): boolean =>
  Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= MAX_TOKEN;

/** Whether vectors are to be base64 of floats and not JSON numbers. */
function readBase64({ encoding_format: format, output_dtype: type }: JsonObject): boolean {
  if (format === undefined || format === null || format === "float") return false;
  if (format !== "base64")
    throw invalid("encoding_format", "Invalid 'encoding_format': expected 'float' or 'base64'.");
  // What a provider packs into fewer bits, nobody between could tell from floats.
  if (type !== undefined && type !== null && type !== "float")
    throw invalid("output_dtype", "Invalid 'output_dtype': with base64 only 'float' is understood.");
  return true;
}

function readDimensions({ dimensions }: JsonObject): number | undefined {
  if (dimensions === undefined || dimensions === null) return undefined;
  if (Number.isSafeInteger(dimensions) && Number(dimensions) >= 1 && Number(dimensions) <= MAX_DIMENSIONS)
    return Number(dimensions);
  throw invalid("dimensions", `Invalid 'dimensions': expected an integer from 1 to ${MAX_DIMENSIONS}.`);
}

/** Members that a provider of another dialect is told of, in its own words, or that are about the answer. */
const TRANSLATED: ReadonlySet<string> = new Set([
  "model",
  "input",
  "encoding_format",
  "dimensions",
  "user",
  "metadata",
  FALLBACK_MODELS,
]);

/** Names the members that had to be left out for a provider of another dialect. */
export function ignoredEmbeddingsMembers({ native }: EmbeddingsRequest): readonly string[] {
  return ignoredMembers(native.body, TRANSLATED, new Map());
}
