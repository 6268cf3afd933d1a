import { fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { EmbedResponseSchema } from "../../../gen/es/llmgateway/v1/embedding_pb.ts";
import type { EmbeddingResult } from "../../../src/core/gateway.ts";
import { embeddingToProto } from "../../../src/server/convert/embedding-to-proto.ts";

const RESULT: EmbeddingResult = {
  ...{ provider: "openai", model: "m", attempts: [], replayed: false },
  // A part of a larger buffer, and numbers that floats have no short text for.
  vectors: [new Float32Array([9, 0.1, -1e-30, 9]).subarray(1, 3), Float32Array.of(0, 3e38)],
};

test("a binary answer has the bytes that the runtime would write of the values", () => {
  const packed = toBinary(EmbedResponseSchema, embeddingToProto("r", RESULT, { inJson: false }));
  const plain = toBinary(EmbedResponseSchema, embeddingToProto("r", RESULT, { inJson: true }));
  expect(Buffer.from(packed)).toEqual(Buffer.from(plain));
  const { embeddings } = fromBinary(EmbedResponseSchema, packed);
  expect(embeddings.map(({ values }) => values)).toEqual(RESULT.vectors.map((vector) => [...vector]));
});

test("an answer in JSON has the values as numbers", () => {
  expect(toJson(EmbedResponseSchema, embeddingToProto("r", RESULT, { inJson: true }))).toMatchObject({
    embeddings: RESULT.vectors.map((vector) => ({ values: [...vector] })),
  });
});
