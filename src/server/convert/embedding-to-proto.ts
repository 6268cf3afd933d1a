import type { EmbedResponse } from "../../../gen/es/llmgateway/v1/embedding_pb.ts";
import type { EmbeddingResult } from "../../core/gateway.ts";
import { attemptsToProto } from "./usage-to-proto.ts";

/** The answer to a call for embeddings. */
export function embeddingToProto(requestId: string, result: EmbeddingResult): EmbedResponse {
  return {
    $typeName: "llmgateway.v1.EmbedResponse",
    requestId,
    provider: result.provider,
    model: result.model,
    embeddings: result.vectors.map((vector) => ({
      $typeName: "llmgateway.v1.Embedding",
      values: [...vector],
    })),
    ...attemptsToProto(result.attempts),
    replayed: result.replayed,
  };
}
