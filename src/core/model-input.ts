import type { CompletionInput } from "./completion.ts";
import type { EmbeddingInput } from "./embedding.ts";

/** What a model is given to read, whatever it is asked to make of it. */
export type ModelInput = CompletionInput | EmbeddingInput;

/** Whether embeddings are asked for. */
export function isEmbeddingInput(input: ModelInput): input is EmbeddingInput {
  return "embedded" in input;
}
