/** Everything in which one provider of OpenAI's embeddings differs from another. */
export interface EmbeddingProfile {
  /** Whether it takes `encoding_format`; one that merely ignores it does. */
  readonly takesEncodingFormat: boolean;
  /** What the length of the vectors is called; undefined where it cannot be chosen. */
  readonly dimensionsField: "dimensions" | "output_dimension" | undefined;
  /** Whether the input may be token ids. */
  readonly takesTokens: boolean;
  /** Whether it takes `user`; if not, the end user is only on the ledger. */
  readonly takesEndUser: boolean;
}

/** OpenAI's own, as documented in November 2026. */
export const OPENAI_EMBEDDINGS: EmbeddingProfile = {
  takesEncodingFormat: true,
  dimensionsField: "dimensions",
  takesTokens: true,
  takesEndUser: true,
};
