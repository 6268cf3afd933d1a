import type { ChatRequest } from "./chat-request.ts";
import type { EmbeddingRequest } from "./embeddings.ts";
import { sampleOfSchema } from "./json-sample.ts";
import type { Personality, UsageCounts } from "./personalities.ts";
import { type Script, ScriptError, type ScriptedToolCall } from "./script.ts";
import { countTokens, reasoningTokens, splitIntoTokens, textTokens } from "./tokens.ts";

export interface PlannedToolCall {
  readonly id: string;
  readonly name: string;
  /** The JSON text of the arguments, one piece a token. */
  readonly argumentPieces: readonly string[];
}

/** A complete answer, before any fault: what is generated, what it counts, what `usage` says. */
export interface Plan extends UsageCounts {
  readonly callId: string;
  readonly personality: Personality;
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Visible reasoning, one piece a token; empty where reasoning is only counted. */
  readonly reasoning: readonly string[];
  /** Text, one piece a token. */
  readonly content: readonly string[];
  readonly toolCalls: readonly PlannedToolCall[];
  readonly finishReason: string;
  /** What is embedded, when nothing is completed. */
  readonly embeddings: EmbeddingRequest | undefined;
  /** JSON text of `usage`; `undefined` to leave it out. */
  readonly usageJson: string | undefined;
}

export interface PlanInput {
  readonly callId: string;
  readonly personality: Personality;
  /** Without a directive suffix. */
  readonly model: string;
  readonly request: ChatRequest;
  readonly script: Script;
}

type Output = Pick<Plan, "content" | "toolCalls" | "tokensOut" | "reasoningTokens" | "finishReason">;

/** Output tokens when neither the script nor the text says otherwise. */
const DEFAULT_TOKENS_OUT = 16;

/** Characters of two, three and four bytes, for `splitUtf8`. */
const MULTIBYTE_TEXT = "Grüße, 你好, 🌍 señor, naïve Ω, привет 🚀";

interface OutputBudget {
  /** All output without the request's maximum. */
  readonly wanted: number;
  /** After the request's maximum. */
  readonly tokensOut: number;
  readonly reasoning: number;
}

function budgetOutput({ personality, request, script }: PlanInput, visibleTokens: number): OutputBudget {
  const reasoning = personality.reportsReasoning ? (script.reasoningTokens ?? 0) : 0;
  const wanted = script.tokensOut ?? reasoning + visibleTokens;
  if (reasoning > wanted) throw new ScriptError("simulator: reasoningTokens exceed tokensOut");
  const tokensOut = Math.min(wanted, request.maxTokens ?? wanted);
  return { wanted, tokensOut, reasoning: Math.min(reasoning, tokensOut) };
}

function planToolCalls(input: PlanInput, calls: readonly ScriptedToolCall[]): Output {
  const split = calls.map(({ name, arguments: args }) => {
    const text = typeof args === "string" ? args : JSON.stringify(args ?? {});
    return { name, pieces: splitIntoTokens(text, countTokens(text)) };
  });
  const { wanted, tokensOut, reasoning } = budgetOutput(
    input,
    split.reduce((sum, { pieces }) => sum + pieces.length, 0),
  );
  const cut = tokensOut < wanted;
  let left = cut ? tokensOut - reasoning : Number.POSITIVE_INFINITY;
  const toolCalls = split.map(({ name, pieces }, index) => {
    const argumentPieces = pieces.slice(0, left);
    left -= argumentPieces.length;
    return { id: `call_${input.callId}_${index}`, name, argumentPieces };
  });
  return {
    content: [],
    toolCalls,
    tokensOut,
    reasoningTokens: reasoning,
    finishReason: input.script.finishReason ?? (cut ? "length" : "tool_calls"),
  };
}

function planText(input: PlanInput): Output {
  const { request, script } = input;
  let text = script.text;
  if (text === undefined && request.jsonSchema !== undefined)
    text = JSON.stringify(sampleOfSchema(request.jsonSchema));
  if (text === undefined && script.fault === "splitUtf8") text = MULTIBYTE_TEXT;
  const visible = text === undefined ? DEFAULT_TOKENS_OUT : text === "" ? 0 : countTokens(text);
  const { wanted, tokensOut, reasoning } = budgetOutput(input, visible);
  const visibleKept = tokensOut - reasoning;
  return {
    content:
      text === undefined
        ? textTokens(visibleKept)
        : splitIntoTokens(text, Math.max(visibleKept, wanted - reasoning)).slice(0, visibleKept),
    toolCalls: [],
    tokensOut,
    reasoningTokens: reasoning,
    finishReason: script.finishReason ?? (tokensOut < wanted ? "length" : "stop"),
  };
}

const NO_OUTPUT: Output = {
  content: [],
  toolCalls: [],
  tokensOut: 0,
  reasoningTokens: 0,
  finishReason: "stop",
};

function planOutput(input: PlanInput): Output {
  const { request, script } = input;
  if (script.fault === "emptyChoices" || request.embeddings) return NO_OUTPUT;
  if (request.offersTools && script.toolCall !== undefined)
    return planToolCalls(input, [script.toolCall].flat());
  if (request.forcedTool !== undefined && script.text === undefined) {
    return planToolCalls(input, [{ name: request.forcedTool, arguments: {} }]);
  }
  return planText(input);
}

function planInput({
  personality,
  request,
  script,
}: PlanInput): Omit<UsageCounts, "tokensOut" | "reasoningTokens"> {
  const cachedTokensIn = personality.reportsCachedTokens ? (script.cachedTokensIn ?? 0) : 0;
  const cacheWriteTokensIn = personality.reportsCacheWrites ? (script.cacheWriteTokensIn ?? 0) : 0;
  const tokensIn = script.tokensIn ?? Math.max(request.tokensIn, cachedTokensIn + cacheWriteTokensIn);
  if (cachedTokensIn + cacheWriteTokensIn > tokensIn)
    throw new ScriptError("simulator: cached tokens exceed tokensIn");
  return { tokensIn, cachedTokensIn, cacheWriteTokensIn };
}

function usageText({ personality, script }: PlanInput, counts: UsageCounts): string | undefined {
  if (script.fault === "noUsage") return undefined;
  if (script.usageOverride !== undefined) return JSON.stringify(script.usageOverride);
  return personality.usageJson(counts);
}

/**
 * Decides the whole answer to a call.
 * @throws ScriptError when the script contradicts itself.
 */
export function createPlan(input: PlanInput): Plan {
  const output = planOutput(input);
  const counts = {
    ...planInput(input),
    tokensOut: output.tokensOut,
    reasoningTokens: output.reasoningTokens,
  };
  return {
    ...output,
    ...counts,
    callId: input.callId,
    personality: input.personality,
    model: input.model,
    stream: input.request.stream,
    includeUsage: input.request.includeUsage,
    embeddings: input.request.embeddings,
    reasoning: input.personality.showsReasoning ? reasoningTokens(output.reasoningTokens) : [],
    usageJson: usageText(input, counts),
  };
}
