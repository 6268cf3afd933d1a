import type { EmbeddingAnswer } from "../../core/embedding.ts";
import { parseUsage, type UsageReport } from "../../core/usage.ts";
import { decodeVector } from "../../core/vector-codec.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import { checkVectors, readCoordinates } from "../check-vectors.ts";
import type { EmbeddingDialectCall } from "../embedding-dialect.ts";
import { mapErrorBody } from "../http-error.ts";
import { badResponse, type SeenSoFar } from "../map-error.ts";
import type { ChatContext } from "../openai-chat/from-response.ts";
import { readRequestId } from "../read-headers.ts";
import { describeBody, parseJson, readArray, readObject, readText } from "../read-json.ts";
import { parseStatedCost } from "../stated-cost.ts";

/**
 * The answer in a 2xx response. The usage is read first, so that every error after it carries it.
 * @throws ProviderError PROVIDER_BAD_RESPONSE when the vectors are not what was asked for, or what an error object in
 * it means
 */
export function fromEmbeddingsResponse(
  response: BufferedResponse,
  call: EmbeddingDialectCall,
  { profile, errors }: ChatContext,
): EmbeddingAnswer {
  const providerRequestId = readRequestId(response.headers, profile.requestIdHeaders);
  const body = readObject(parseJson(response.body));
  const usage = mapEmbeddingUsage(body?.usage);
  const providerCostPicoUsd = profile.statesCost ? parseStatedCost(readObject(body?.usage)?.cost) : undefined;
  const seen: SeenSoFar = { usage, providerCostPicoUsd, providerStatus: response.status, providerRequestId };
  if (body === undefined) throw badResponse(describeBody(response.body), seen);
  if (body.error !== undefined && body.error !== null) throw mapErrorBody(body, { rules: errors, seen });
  const items = inOrder(readArray(body.data));
  return {
    vectors: checkVectors(items.map(readVector), call.input, seen),
    responseModel: readText(body.model),
    usage,
    providerCostPicoUsd,
    providerRequestId,
    outputBytes: 0,
    native: call.native && {
      text: isEncodedAs(call.native.body.encoding_format, items) ? response.body : undefined,
    },
  };
}

/** Vectors are no output; Mistral states zero tokens of it, the others none. */
function mapEmbeddingUsage(usage: unknown): UsageReport {
  if (usage === undefined || usage === null) return { kind: "absent" };
  const stated = readObject(usage);
  if (!stated) return { kind: "invalid", anomaly: "NOT_AN_INTEGER" };
  const tokensIn = stated.prompt_tokens ?? stated.total_tokens;
  if (tokensIn === undefined || tokensIn === null) return { kind: "absent" };
  return parseUsage({ tokensIn, tokensOut: stated.completion_tokens ?? 0 });
}

/** The embeddings by the place that each states; as they came where one states none that fits. */
function inOrder(data: readonly unknown[]): readonly unknown[] {
  const ordered: unknown[] = data.map(() => undefined);
  for (const item of data) {
    const index = readObject(item)?.index;
    if (typeof index !== "number" || !(index in ordered) || ordered[index] !== undefined) {
      return data.map(embeddingOf);
    }
    ordered[index] = embeddingOf(item);
  }
  return ordered;
}

const embeddingOf = (item: unknown): unknown => readObject(item)?.embedding;

/** Either encoding, whichever was asked for: some servers ignore the request for base64. */
function readVector(embedding: unknown): Float32Array | undefined {
  if (typeof embedding !== "string") return readCoordinates(embedding);
  try {
    return decodeVector(embedding);
  } catch {
    return undefined;
  }
}

function isEncodedAs(format: unknown, embeddings: readonly unknown[]): boolean {
  const isText = format === "base64";
  return embeddings.every((embedding) => (typeof embedding === "string") === isText);
}
