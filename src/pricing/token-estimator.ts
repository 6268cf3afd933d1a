import type { CompletionInput, MessagePart } from "../core/completion.ts";
import type { EmbeddingInput } from "../core/embedding.ts";
import { isEmbeddingInput, type ModelInput } from "../core/model-input.ts";

/**
 * A heuristic that costs next to nothing: for admission before a call, for attempts that no process lived to see,
 * and for what the tokenizer (`usage-estimator.ts`) could not count in time. English prose has about four bytes a token; code, JSON and
 * non-Latin scripts have fewer, so their tokens are underestimated.
 */
const BYTES_PER_TOKEN = 4;

/**
 * An image's tokens depend on its size and on the model, and the gateway decodes no images. A megapixel costs
 * between 765 (GPT-4o, high detail) and some 1,600 tokens (Claude's largest).
 */
const TOKENS_PER_IMAGE = 1_000;
/** What GPT-4o charges for low detail, at any size. */
const TOKENS_PER_LOW_DETAIL_IMAGE = 85;

/**
 * Tokens of an input: UTF-8 bytes of all that the model reads / 4, rounded up, plus its images; tokens that are given
 * as such are counted as they are.
 */
export function estimateTokensIn(input: ModelInput): number {
  return isEmbeddingInput(input) ? estimateEmbedded(input) : estimateCompletion(input);
}

function estimateEmbedded({ embedded }: EmbeddingInput): number {
  if (embedded.kind === "tokens") return countTokens(embedded.sequences);
  // No provider bills less than a token for a text.
  return embedded.texts.reduce((sum, text) => sum + tokensOfBytes(byteLength(text)), 0);
}

/** Tokens that are given as such. */
export function countTokens(sequences: readonly (readonly number[])[]): number {
  return sequences.reduce((sum, { length }) => sum + length, 0);
}

function estimateCompletion(input: CompletionInput): number {
  let bytes = 0;
  let tokens = 0;
  for (const message of input.messages) {
    bytes += byteLength(message.name);
    for (const part of message.parts) {
      if (part.kind === "image") {
        tokens += imageTokens(part);
      } else {
        bytes += partBytes(part);
      }
    }
  }
  for (const tool of input.tools) {
    bytes += byteLength(tool.name) + byteLength(tool.description) + byteLength(tool.parametersJsonSchema);
  }
  if (input.responseFormat?.kind === "json_schema") bytes += byteLength(input.responseFormat.schemaJson);
  return tokensOfBytes(bytes) + tokens;
}

/** Tokens of an image that nobody looked into. */
export function imageTokens({ detail }: Extract<MessagePart, { readonly kind: "image" }>): number {
  return detail === "low" ? TOKENS_PER_LOW_DETAIL_IMAGE : TOKENS_PER_IMAGE;
}

/**
 * Tokens of what was received of an answer. Providers send at least one token a delta, so the number of deltas is
 * a floor; a unary answer has none.
 */
export function estimateTokensOut(received: {
  readonly outputBytes: number;
  readonly deltas: number;
}): number {
  return Math.max(tokensOfBytes(received.outputBytes), received.deltas);
}

/** UTF-8 bytes / 4, rounded up. */
export function tokensOfBytes(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

function partBytes(part: Exclude<MessagePart, { readonly kind: "image" }>): number {
  switch (part.kind) {
    case "text":
    case "refusal":
    case "reasoning":
    case "tool_result":
      return byteLength(part.text);
    case "tool_call":
      return byteLength(part.name) + byteLength(part.argumentsJson);
    default:
      return part satisfies never;
  }
}

function byteLength(text: string | undefined): number {
  return text === undefined ? 0 : Buffer.byteLength(text, "utf8");
}
