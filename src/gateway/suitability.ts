import type { NativeRequest } from "../core/completion.ts";
import type { EmbeddingAbilities, EmbeddingInput } from "../core/embedding.ts";
import { GatewayError } from "../core/errors.ts";
import type { Suitability } from "./execute-call.ts";

/** All providers complete; some would have to leave out a part of a native request, and are left out themselves. */
export function suitableForCompletion(native: NativeRequest | undefined): Suitability {
  const untranslatable = native?.untranslatable ?? [];
  return {
    suits: ({ dialects }) => !native || untranslatable.length === 0 || dialects.has(native.dialect),
    noneSuits: () =>
      new GatewayError("INVALID_REQUEST", "no provider of the model takes a part of the request", {
        fieldViolations: untranslatable.map((field) => ({
          field,
          description: "cannot be said in the dialect of the provider",
        })),
      }),
  };
}

/** Those that make embeddings, and can be told all that is asked for. */
export function suitableForEmbedding(input: EmbeddingInput): Suitability {
  const asked: Readonly<Record<keyof EmbeddingAbilities, boolean>> = {
    tokens: input.embedded.kind === "tokens",
    dimensions: input.dimensions !== undefined,
    purpose: input.purpose !== undefined,
  };
  const names = (Object.keys(asked) as (keyof EmbeddingAbilities)[]).filter((name) => asked[name]);
  let someEmbed = false;
  return {
    suits({ embedder }) {
      if (embedder) someEmbed = true;
      return embedder !== undefined && names.every((name) => embedder.abilities[name]);
    },
    noneSuits: () =>
      someEmbed
        ? new GatewayError("INVALID_REQUEST", "no provider of the model takes a part of the request", {
            fieldViolations: names.map((field) => ({
              field,
              description: "may not be taken by the provider",
            })),
          })
        : new GatewayError("INVALID_REQUEST", "no provider of the model makes embeddings", {
            fieldViolations: [
              { field: "model", description: "belongs to no provider that makes embeddings" },
            ],
          }),
  };
}
