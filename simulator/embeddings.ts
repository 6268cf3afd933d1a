import { createHash } from "node:crypto";
import { InvalidChatRequest, isObject, type JsonObject, requireObject } from "./request-checks.ts";
import { countTokens } from "./tokens.ts";
import type { Wire } from "./wire.ts";

/** What a request for embeddings asks for, beyond what every request has. */
export interface EmbeddingRequest {
  /** One vector is made of each: a text, or token ids as text. */
  readonly items: readonly string[];
  readonly dimensions: number;
  /** Whether vectors are written as base64 of floats. */
  readonly base64: boolean;
}

/** When the request says nothing. */
export const DEFAULT_DIMENSIONS = 16;
const MAX_DIMENSIONS = 4096;
const MAX_ITEMS = 2048;

/** The vector of an item: of length 1, the same for the same item, model and dimensions. */
export function vectorOf(model: string, item: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  let digest = Buffer.alloc(0);
  let sumOfSquares = 0;
  for (let index = 0; index < dimensions; index += 1) {
    const at = (index * 2) % 32;
    if (at === 0) digest = createHash("sha256").update(`${model}\0${index}\0${item}`).digest();
    const coordinate = digest.readInt16LE(at) / 32_768;
    vector[index] = coordinate;
    sumOfSquares += coordinate * coordinate;
  }
  const length = Math.sqrt(sumOfSquares) || 1;
  return vector.map((coordinate) => coordinate / length);
}

/** As base64 of little-endian floats, byte by byte: the order is the dialect's, not the machine's. */
export function toBase64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [index, coordinate] of vector.entries()) bytes.writeFloatLE(coordinate, index * 4);
  return bytes.toString("base64");
}

function readDimensions(value: unknown, param: string): number {
  if (value === undefined || value === null) return DEFAULT_DIMENSIONS;
  if (Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= MAX_DIMENSIONS)
    return Number(value);
  throw new InvalidChatRequest(`Invalid '${param}': expected an integer from 1 to ${MAX_DIMENSIONS}.`, param);
}

function readEncoding(value: unknown): boolean {
  if (value === undefined || value === null || value === "float") return false;
  if (value === "base64") return true;
  throw new InvalidChatRequest(
    `Invalid value: ${JSON.stringify(value)} for 'encoding_format'.`,
    "encoding_format",
  );
}

/** What each item counts, and its text. */
interface Item {
  readonly text: string;
  readonly tokens: number;
}

const isTokens = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((token) => Number.isSafeInteger(token) && token >= 0);

function readItem(value: unknown): Item {
  if (typeof value === "string" && value !== "") return { text: value, tokens: countTokens(value) };
  if (Array.isArray(value) && isTokens(value)) return { text: value.join(" "), tokens: value.length };
  throw new InvalidChatRequest("'$.input' is invalid: empty, or neither text nor tokens.", "input");
}

function readItems(input: unknown): readonly Item[] {
  if (!Array.isArray(input) || isTokens(input)) return [readItem(input)];
  if (input.length === 0 || input.length > MAX_ITEMS)
    throw new InvalidChatRequest(`'$.input' is invalid: expected 1 to ${MAX_ITEMS} items.`, "input");
  return input.map(readItem);
}

/** The parts of a request that only completions have. */
const NO_COMPLETION = {
  stream: false,
  includeUsage: false,
  maxTokens: undefined,
  offersTools: false,
  forcedTool: undefined,
  jsonSchema: undefined,
} as const;

function requestOf(model: string, items: readonly Item[], rest: Omit<EmbeddingRequest, "items">) {
  return {
    ...NO_COMPLETION,
    model,
    tokensIn: items.reduce((sum, { tokens }) => sum + tokens, 0),
    lastUserText: items.at(-1)?.text ?? "",
    embeddings: { ...rest, items: items.map(({ text }) => text) },
  };
}

function parseOpenAi(value: unknown): ReturnType<Wire["parseRequest"]> {
  if (!isObject(value)) throw new InvalidChatRequest("We could not parse the JSON body of your request.");
  const { model, input, dimensions, encoding_format: encoding } = value;
  if (typeof model !== "string" || model === "")
    throw new InvalidChatRequest("you must provide a model parameter", "model");
  return requestOf(model, readItems(input), {
    dimensions: readDimensions(dimensions, "dimensions"),
    base64: readEncoding(encoding),
  });
}

const GEMINI_PATH = /\/models\/([^/:]+):batchEmbedContents$/;
const MAX_GEMINI_ITEMS = 100;

function geminiText(request: JsonObject): string {
  const { parts } = requireObject(request.content, "content");
  if (!Array.isArray(parts)) throw new InvalidChatRequest("content.parts: expected an array");
  return parts.map((part) => requireObject(part, "content.parts").text).join("");
}

function parseGemini(value: unknown, path: string): ReturnType<Wire["parseRequest"]> {
  const model = decodeURIComponent(GEMINI_PATH.exec(path)?.[1] ?? "");
  const { requests } = requireObject(value, "body");
  if (!Array.isArray(requests) || requests.length === 0 || requests.length > MAX_GEMINI_ITEMS)
    throw new InvalidChatRequest(`requests: expected 1 to ${MAX_GEMINI_ITEMS}`, "requests");
  const each = requests.map((request) => requireObject(request, "requests"));
  if (each.some((request) => request.model !== `models/${model}`))
    throw new InvalidChatRequest("The model of a request is not that of the batch.", "requests.model");
  const dimensions = readDimensions(each[0]?.outputDimensionality, "outputDimensionality");
  return requestOf(model, each.map(geminiText).map(readItem), { dimensions, base64: false });
}

interface Rendered {
  readonly model: string;
  readonly embeddings: EmbeddingRequest | undefined;
}

function vectorsOf({ model, embeddings }: Rendered, none: boolean): readonly Float32Array[] {
  if (!embeddings || none) return [];
  return embeddings.items.map((item) => vectorOf(model, item, embeddings.dimensions));
}

const noStream = (): never => {
  throw new Error("embeddings are not streamed");
};

/** OpenAI's embeddings, in a dialect whose errors and keys are those of `base`. */
export function openAiEmbeddings(base: Wire): Wire {
  return {
    ...base,
    parseRequest: parseOpenAi,
    renderUnary(plan, _createdAt, { emptyChoices = false, extra = "" } = {}) {
      const data = vectorsOf(plan, emptyChoices).map((vector, index) => ({
        object: "embedding",
        index,
        embedding: plan.embeddings?.base64 ? toBase64(vector) : [...vector],
      }));
      const usage = plan.usageJson === undefined ? "" : `,"usage":${plan.usageJson}`;
      const more = extra === "" ? "" : `,${extra}`;
      const members = `"data":${JSON.stringify(data)},"model":${JSON.stringify(plan.model)}`;
      return `{"object":"list",${members}${usage}${more}}`;
    },
    createWriter: noStream,
  };
}

/** Google's `:batchEmbedContents`. */
export function geminiEmbeddings(base: Wire): Wire {
  return {
    ...base,
    parseRequest: parseGemini,
    renderUnary(plan, _createdAt, { emptyChoices = false, extra = "" } = {}) {
      const embeddings = vectorsOf(plan, emptyChoices).map((vector) => ({ values: [...vector] }));
      const usage = plan.usageJson === undefined ? "" : `,"usageMetadata":${plan.usageJson}`;
      return `{"embeddings":${JSON.stringify(embeddings)}${usage}${extra === "" ? "" : `,${extra}`}}`;
    },
    createWriter: noStream,
  };
}
