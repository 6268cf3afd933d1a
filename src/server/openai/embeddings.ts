import { EmbeddingService } from "../../../gen/es/llmgateway/v1/embedding_pb.ts";
import type { CompatibleCall, WholeAnswer } from "../compatible/compatible-call.ts";
import {
  authenticate,
  type CompatibleDependencies,
  readBody,
} from "../compatible/compatible-dependencies.ts";
import { factHeaders, ignoredHeaders } from "../compatible/gateway-facts.ts";
import { toGatewayCall } from "../compatible/to-gateway-call.ts";
import { completionEnd, endOfFailed } from "../convert/completion-end.ts";
import { accessOf } from "../rpc/method-access.ts";
import { toEmbeddingsAnswer } from "./embeddings-answer.ts";
import { ignoredEmbeddingsMembers, parseEmbeddingsRequest } from "./embeddings-request.ts";

const ACCESS = accessOf(EmbeddingService.method.embed);

/** `POST /v1/embeddings`. */
export async function createEmbeddings(
  dependencies: CompatibleDependencies,
  call: CompatibleCall,
): Promise<WholeAnswer> {
  // The body is read for callers that may call, and for no others.
  await authenticate(dependencies, call, ACCESS);
  const request = parseEmbeddingsRequest(await readBody(dependencies, call));
  const { input, native } = request;
  try {
    const result = await dependencies.gateway.embed({ ...toGatewayCall(call, request), input, native });
    call.completed(completionEnd(request.model, result, false));
    const headers = factHeaders(result);
    if (result.native) return { headers, body: result.native.text ?? toEmbeddingsAnswer(result, request) };
    // Of a replayed answer it is not known what its provider was told.
    const ignored = result.replayed ? {} : ignoredHeaders(ignoredEmbeddingsMembers(request));
    return { headers: { ...headers, ...ignored }, body: toEmbeddingsAnswer(result, request) };
  } catch (error) {
    call.completed(completionEnd(request.model, endOfFailed(error), false));
    throw error;
  }
}
