import type { CompletionInput, MessagePart } from "../core/completion.ts";
import { isEmbeddingInput, type ModelInput } from "../core/model-input.ts";
import { countTokens, imageTokens, tokensOfBytes } from "./token-estimator.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Tokens of one attempt as a real tokenizer counts them. */
export interface CountedTokens {
  readonly tokensIn: number;
  readonly tokensOut: number;
}

/** What an attempt put out, as far as it was kept. */
export interface OutputText {
  /** At most `MAX_COUNTED_CHARACTERS`: text, reasoning, names and arguments of tool calls. */
  readonly text: string;
  /** Of all output; above the bytes of `text` when more came than was kept. */
  readonly outputBytes: number;
}

/** Counts what no provider counted. */
export interface UsageEstimator {
  /** Call it early, at a stream's start: then its estimate waits for nothing. Returns at once. */
  warmUp(): void;
  /** Undefined when it cannot be counted within `maxWaitMs`: then bytes have to do. Never rejects. */
  estimate(
    attempt: { readonly input: ModelInput; readonly output: OutputText },
    maxWaitMs: number,
  ): Promise<CountedTokens | undefined>;
}

/**
 * Of an input, and of an output, the first so many characters are counted (5 to 30 ms), some 16,000 tokens; what is
 * longer counts in proportion to its bytes.
 */
export const MAX_COUNTED_CHARACTERS = 64 * 1024;

/**
 * What a chat format adds to its texts, by OpenAI's description of its own
 * (cookbook.openai.com, "How to count tokens with tiktoken"): three tokens a message, one for its name, and three
 * that begin the answer. Formats of other providers differ by a few tokens.
 */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_PER_NAME = 1;
const TOKENS_BEFORE_ANSWER = 3;
/** By the same source: what surrounds a tool's name, description and schema. */
const TOKENS_PER_TOOL = 7;

export function createUsageEstimator(tokenizer: Pick<Tokenizer, "warmUp" | "count">): UsageEstimator {
  return {
    warmUp: () => tokenizer.warmUp(),
    async estimate({ input, output }, maxWaitMs) {
      const texts = inputTexts(input);
      const prefix = takePrefix(texts);
      const counts = await tokenizer.count([output.text, ...prefix], maxWaitMs);
      if (!counts) return undefined;
      const [outputTokens = 0, ...inputTokens] = counts;
      const kept = inputTokens.reduce((sum, tokens) => sum + tokens, 0);
      return {
        tokensIn: inTotal(kept, { kept: bytesOf(prefix), total: bytesOf(texts) }) + tokensBesides(input),
        tokensOut: inTotal(outputTokens, { kept: bytesOf([output.text]), total: output.outputBytes }),
      };
    },
  };
}

/** All that the model reads, images aside. */
function inputTexts(input: ModelInput): readonly string[] {
  if (isEmbeddingInput(input)) return input.embedded.kind === "texts" ? input.embedded.texts : [];
  const texts: (string | undefined)[] = [];
  for (const { name, parts } of input.messages) texts.push(name, ...parts.flatMap(partTexts));
  for (const tool of input.tools) texts.push(tool.name, tool.description, tool.parametersJsonSchema);
  if (input.responseFormat?.kind === "json_schema") texts.push(input.responseFormat.schemaJson);
  return texts.filter((text) => text !== undefined && text !== "") as readonly string[];
}

/** The texts of a part, as they are tokenized. */
export function partTexts(part: MessagePart): readonly string[] {
  switch (part.kind) {
    case "text":
    case "refusal":
    case "reasoning":
    case "tool_result":
      return [part.text];
    case "tool_call":
      return [part.name, part.argumentsJson];
    case "image":
      return [];
    default:
      return part satisfies never;
  }
}

/** What comes on top of the texts. */
function tokensBesides(input: ModelInput): number {
  if (!isEmbeddingInput(input)) return formatTokens(input);
  return input.embedded.kind === "tokens" ? countTokens(input.embedded.sequences) : 0;
}

/** What the messages, tools and images add to their texts. */
function formatTokens(input: CompletionInput): number {
  let tokens = TOKENS_BEFORE_ANSWER + input.tools.length * TOKENS_PER_TOOL;
  for (const { name, parts } of input.messages) {
    tokens += TOKENS_PER_MESSAGE + (name === undefined ? 0 : TOKENS_PER_NAME);
    for (const part of parts) if (part.kind === "image") tokens += imageTokens(part);
  }
  return tokens;
}

function takePrefix(texts: readonly string[]): readonly string[] {
  const prefix: string[] = [];
  let left = MAX_COUNTED_CHARACTERS;
  for (const text of texts) {
    if (left <= 0) break;
    prefix.push(text.slice(0, left));
    left -= text.length;
  }
  return prefix;
}

/** In proportion to the bytes; exact when everything was counted. */
function inTotal(tokens: number, bytes: { readonly kept: number; readonly total: number }): number {
  if (bytes.total <= bytes.kept) return tokens;
  if (bytes.kept === 0) return tokensOfBytes(bytes.total);
  return Math.ceil((tokens * bytes.total) / bytes.kept);
}

function bytesOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}
