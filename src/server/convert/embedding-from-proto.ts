import {
  type EmbedRequest,
  EmbeddingPurpose as PurposeProto,
} from "../../../gen/es/llmgateway/v1/embedding_pb.ts";
import type { Embedded, EmbeddingPurpose } from "../../core/embedding.ts";
import type { EmbeddingCall } from "../../core/gateway.ts";
import type { AuthenticatedCall } from "../rpc/call-context.ts";

/** A call for embeddings as the core takes it. */
export function embeddingFromProto(proto: EmbedRequest, call: AuthenticatedCall): EmbeddingCall {
  const endUser = proto.endUser === "" ? undefined : proto.endUser;
  return {
    requestId: call.requestId,
    // An id in a header names a call for logs; proxies give one to many calls.
    repeatable: proto.requestId !== "",
    principal: call.principal,
    model: proto.model,
    fallbackModels: proto.fallbackModels,
    tags: { ...call.principal.tags, ...proto.tags },
    endUser,
    input: {
      embedded: embeddedFromProto(proto),
      dimensions: proto.dimensions,
      purpose: purposeFromProto(proto.purpose),
      endUser,
    },
    deadlineAtMs: call.deadlineAtMs,
    signal: call.signal,
    telemetry: call.telemetry,
  };
}

/** One of the two is empty: the proto demands it. */
function embeddedFromProto({ texts, tokenSequences }: EmbedRequest): Embedded {
  return texts.length > 0
    ? { kind: "texts", texts }
    : { kind: "tokens", sequences: tokenSequences.map(({ tokens }) => tokens) };
}

function purposeFromProto(purpose: PurposeProto): EmbeddingPurpose | undefined {
  switch (purpose) {
    case PurposeProto.QUERY:
      return "query";
    case PurposeProto.DOCUMENT:
      return "document";
    case PurposeProto.UNSPECIFIED:
      return undefined;
    default:
      // What a later version of the contract may add.
      return undefined;
  }
}
