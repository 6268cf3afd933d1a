import type { PicoUsd } from "./money.ts";
import type { UsageReport } from "./usage.ts";

/** What an embedding is for, with models that embed what is searched for otherwise than what is found. */
export type EmbeddingPurpose = "query" | "document";

/** What is embedded, one vector each: texts, or the token ids that the model's own tokenizer makes of them. */
export type Embedded =
  | { readonly kind: "texts"; readonly texts: readonly string[] }
  | { readonly kind: "tokens"; readonly sequences: readonly (readonly number[])[] };

/** Embeddings as every provider adapter makes them: the model and the routing are not part of it. */
export interface EmbeddingInput {
  readonly embedded: Embedded;
  /** The length of each vector; undefined: the model's own. */
  readonly dimensions: number | undefined;
  readonly purpose: EmbeddingPurpose | undefined;
  readonly endUser: string | undefined;
}

/** What a provider answered. */
export interface EmbeddingAnswer {
  /** In the order of what was embedded, all of one length. */
  readonly vectors: readonly Float32Array[];
  readonly responseModel: string | undefined;
  readonly usage: UsageReport;
  readonly providerCostPicoUsd?: PicoUsd | undefined;
  readonly providerRequestId: string | undefined;
  /** Vectors are no output that is counted. */
  readonly outputBytes: 0;
  /** Set when the request was native. */
  readonly native?: NativeEmbeddings | undefined;
}

/** The answer to a native request, in its dialect. */
export interface NativeEmbeddings {
  /** The provider's own JSON text; undefined when it has not the encoding that was asked for. */
  readonly text: string | undefined;
}

/** What a provider that makes embeddings can be told. What it cannot, it is not asked for. */
export interface EmbeddingAbilities {
  /** Token ids instead of texts. */
  readonly tokens: boolean;
  readonly dimensions: boolean;
  readonly purpose: boolean;
}

/** How many vectors the input asks for. */
export function countEmbedded(embedded: Embedded): number {
  return embedded.kind === "texts" ? embedded.texts.length : embedded.sequences.length;
}
