import type { EmbeddingAnswer, EmbeddingPurpose } from "../../core/embedding.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import { checkVectors, readCoordinates } from "../check-vectors.ts";
import type { EmbeddingDialect, EmbeddingDialectCall } from "../embedding-dialect.ts";
import { type ErrorRules, mapErrorBody } from "../http-error.ts";
import { badResponse, type SeenSoFar } from "../map-error.ts";
import { describeBody, parseJson, readArray, readObject } from "../read-json.ts";
import { invalidRequest, toPathPart } from "../request-parts.ts";
import { createErrorRules } from "./map-error.ts";
import { mapUsage } from "./map-usage.ts";

/** One of the requests of a batch. */
interface EmbedContentRequest {
  readonly model: string;
  readonly content: { readonly parts: readonly { readonly text: string }[] };
  readonly taskType?: "RETRIEVAL_QUERY" | "RETRIEVAL_DOCUMENT" | undefined;
  readonly outputDimensionality?: number | undefined;
}

/**
 * `:batchEmbedContents` of Google's Gemini API, as documented in November 2026: at most 100 texts. `gemini-embedding-001`
 * has task types; the purpose is told as one.
 */
export function createGeminiEmbeddings(secrets: readonly string[]): EmbeddingDialect {
  const errors = createErrorRules(secrets);
  return {
    abilities: { tokens: false, dimensions: true, purpose: true },
    toPath: ({ model }) => `/models/${toPathPart(model)}:batchEmbedContents`,
    toBody: toBatchEmbedContents,
    fromResponse: (response, call) => fromBatchEmbedContents(response, call, errors),
    errors,
  };
}

/**
 * The body of `:batchEmbedContents`. The end user is left out: the API has no place for it.
 * @throws ProviderError PROVIDER_INVALID_REQUEST, not billed, for token ids
 */
function toBatchEmbedContents({ model, input }: EmbeddingDialectCall): {
  readonly requests: readonly EmbedContentRequest[];
} {
  const { embedded, purpose, dimensions } = input;
  if (embedded.kind === "tokens") throw invalidRequest("Gemini embeds texts, no token ids");
  return {
    requests: embedded.texts.map((text) => ({
      model: `models/${model}`,
      content: { parts: [{ text }] },
      taskType: purpose && TASK_TYPES[purpose],
      outputDimensionality: dimensions,
    })),
  };
}

const TASK_TYPES = {
  query: "RETRIEVAL_QUERY",
  document: "RETRIEVAL_DOCUMENT",
} as const satisfies Record<EmbeddingPurpose, EmbedContentRequest["taskType"]>;

/** @throws ProviderError PROVIDER_BAD_RESPONSE when the vectors are not what was asked for */
function fromBatchEmbedContents(
  response: BufferedResponse,
  call: EmbeddingDialectCall,
  errors: ErrorRules,
): EmbeddingAnswer {
  const body = readObject(parseJson(response.body));
  const usage = mapUsage(body?.usageMetadata);
  const seen: SeenSoFar = { usage, providerStatus: response.status };
  if (body === undefined) throw badResponse(describeBody(response.body), seen);
  if (body.error !== undefined && body.error !== null) throw mapErrorBody(body, { rules: errors, seen });
  const vectors = readArray(body.embeddings).map((item) => readCoordinates(readObject(item)?.values));
  return {
    vectors: checkVectors(vectors, call.input, seen),
    responseModel: undefined,
    usage,
    providerRequestId: undefined,
    outputBytes: 0,
  };
}
