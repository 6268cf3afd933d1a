import type { EmbeddingResult } from "../../core/gateway.ts";
import { encodeVector, vectorNumbers } from "../../core/vector-codec.ts";

/** Vectors as OpenAI would have given them: JSON text. */
export function toEmbeddingsAnswer(
  { vectors, model, attempts }: EmbeddingResult,
  { base64 }: { readonly base64: boolean },
): string {
  const usage = attempts.at(-1)?.usage;
  return JSON.stringify({
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: base64 ? encodeVector(vector) : vectorNumbers(vector),
    })),
    model,
    // Undefined leaves the member out: what nobody counted is not zero.
    usage: usage && { prompt_tokens: usage.tokensIn, total_tokens: usage.tokensIn + usage.tokensOut },
  });
}
