import { EmbeddingService } from "../../../gen/es/llmgateway/v1/embedding_pb.ts";
import type { Gateway } from "../../core/gateway.ts";
import { completionEnd, endOfFailed } from "../convert/completion-end.ts";
import { embeddingFromProto } from "../convert/embedding-from-proto.ts";
import { embeddingToProto } from "../convert/embedding-to-proto.ts";
import { type RpcMethod, unary } from "../rpc/rpc-method.ts";

/** `EmbeddingService`. */
export function embeddingMethods(gateway: Gateway): readonly RpcMethod[] {
  return [
    unary(
      EmbeddingService.method.embed,
      async (request, call) => {
        try {
          const result = await gateway.embed(embeddingFromProto(request, call));
          call.completed(completionEnd(request.model, result, false));
          return embeddingToProto(call.requestId, result, call);
        } catch (error) {
          call.completed(completionEnd(request.model, endOfFailed(error), false));
          throw error;
        }
      },
      (request) => request.requestId,
    ),
  ];
}
