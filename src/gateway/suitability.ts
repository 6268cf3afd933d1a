import type { NativeDialect, NativeRequest } from "../core/completion.ts";
import type { EmbeddingAbilities } from "../core/embedding.ts";
import { type FieldViolation, GatewayError } from "../core/errors.ts";
import type { CompletionCall, EmbeddingCall } from "../core/gateway.ts";
import type { Suitability } from "./execute-call.ts";

/** All providers complete; some would have to leave out a part of a native request, and are left out themselves. */
export function suitableForCompletion({ native, model }: CompletionCall): Suitability {
  if (!native || native.untranslatable.length === 0) return ALL;
  return {
    suits: ({ dialects }) => dialects.has(native.dialect),
    oneProvider: native.staysWithProvider ?? false,
    noneSuits: () => untranslated(native, model),
  };
}

const ALL: Suitability = {
  suits: () => true,
  oneProvider: false,
  noneSuits: () => unsuitable("no provider of the model is configured", []),
};

const DIALECT_TITLES: Readonly<Record<NativeDialect, string>> = {
  "openai-chat": "chat completions API",
  "openai-responses": "Responses API",
  "openai-embeddings": "embeddings API",
  "anthropic-messages": "Messages API",
};

function untranslated({ dialect, untranslatable }: NativeRequest, model: string): GatewayError {
  if (untranslatable === "all") {
    const message = `No provider of the model ${JSON.stringify(model)} has the ${DIALECT_TITLES[dialect]}.`;
    return unsuitable(message, [{ field: "model", description: message }]);
  }
  const description = "cannot be said in the dialect of the provider";
  return unsuitable(
    "no provider of the model takes a part of the request",
    untranslatable.map((field) => ({ field, description })),
  );
}

/** Those that make embeddings, and can be told all that is asked for. */
export function suitableForEmbedding({ input, native }: EmbeddingCall): Suitability {
  const asked: Readonly<Record<keyof EmbeddingAbilities, boolean>> = {
    tokens: input.embedded.kind === "tokens",
    dimensions: input.dimensions !== undefined,
    purpose: input.purpose !== undefined,
  };
  const needed = (Object.keys(asked) as (keyof EmbeddingAbilities)[]).filter((ability) => asked[ability]);
  // As the caller's own contract has it.
  const fieldOf = (ability: keyof EmbeddingAbilities) =>
    ability === "tokens" ? (native ? "input" : "token_sequences") : ability;
  let someEmbed = false;
  return {
    suits({ embedder }) {
      someEmbed ||= embedder !== undefined;
      return embedder !== undefined && needed.every((ability) => embedder.abilities[ability]);
    },
    oneProvider: false,
    noneSuits: () =>
      someEmbed
        ? unsuitable(
            "no provider of the model takes a part of the request",
            needed.map((ability) => ({
              field: fieldOf(ability),
              description: `needs a provider that takes ${DESCRIPTIONS[ability]}`,
            })),
          )
        : unsuitable("no provider of the model makes embeddings", [
            { field: "model", description: "belongs to no provider that makes embeddings" },
          ]),
  };
}

const DESCRIPTIONS: Readonly<Record<keyof EmbeddingAbilities, string>> = {
  tokens: "token ids",
  dimensions: "dimensions",
  purpose: "purposes",
};

function unsuitable(message: string, fieldViolations: readonly FieldViolation[]): GatewayError {
  return new GatewayError("INVALID_REQUEST", message, { fieldViolations });
}
