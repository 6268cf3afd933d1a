import type { Choice, StreamDelta } from "../../core/completion.ts";
import type { CompletionResult, StreamResult } from "../../core/gateway.ts";
import type { Usage } from "../../core/usage.ts";

/** What all objects of one answer have in common. */
export interface AnswerFrame {
  readonly requestId: string;
  readonly createdAt: Date;
  readonly model: string;
}

/** The answer of a provider of another dialect, as OpenAI would have given it. */
export function toChatCompletion(
  result: CompletionResult,
  frame: Pick<AnswerFrame, "requestId" | "createdAt">,
): string {
  return JSON.stringify({
    ...frameMembers({ ...frame, model: result.model }, "chat.completion"),
    choices: result.choices.map(toChatChoice),
    usage: toChatUsage(result.attempts.at(-1)?.usage),
  });
}

function frameMembers({ requestId, createdAt, model }: AnswerFrame, object: string) {
  return {
    id: `chatcmpl-${requestId}`,
    object,
    created: Math.floor(createdAt.getTime() / 1000),
    model,
  };
}

function toChatChoice({ index, message, finishReason }: Choice) {
  let content: string | null = null;
  let refusal: string | null = null;
  let reasoning: string | undefined;
  const toolCalls: unknown[] = [];
  for (const part of message.parts) {
    if (part.kind === "text") content = (content ?? "") + part.text;
    else if (part.kind === "refusal") refusal = (refusal ?? "") + part.text;
    else if (part.kind === "reasoning") reasoning = (reasoning ?? "") + part.text;
    else if (part.kind === "tool_call") {
      const target = { name: part.name, arguments: part.argumentsJson };
      toolCalls.push({ id: part.id, type: "function", function: target });
    }
  }
  return {
    index,
    message: {
      role: "assistant",
      content,
      refusal,
      reasoning_content: reasoning,
      tool_calls: toolCalls.length > 0 ? toolCalls : undefined,
    },
    logprobs: null,
    finish_reason: finishReason,
  };
}

/** Undefined leaves a member out: a bucket that no provider stated is not zero. */
function toChatUsage(usage: Usage | undefined) {
  if (!usage) return undefined;
  const { tokensIn, tokensOut } = usage;
  return {
    prompt_tokens: tokensIn,
    completion_tokens: tokensOut,
    total_tokens: tokensIn + tokensOut,
    prompt_tokens_details: {
      cached_tokens: usage.cacheReadTokensIn,
      cache_write_tokens: usage.cacheWriteTokensIn,
    },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokensOut },
  };
}

/** Writes the events of a translated stream; what they have in common is made once. */
export class ChunkWriter {
  readonly #frame: AnswerFrame;
  readonly #prefix: string;
  readonly #begun = new Set<number>();

  constructor(frame: AnswerFrame) {
    this.#frame = frame;
    const members = JSON.stringify(frameMembers(frame, "chat.completion.chunk")).slice(0, -1);
    this.#prefix = `data: ${members},"choices":`;
  }

  /** The events of the deltas. */
  deltas(deltas: readonly StreamDelta[]): string {
    let events = "";
    for (const delta of deltas) events += this.#begin(delta.choiceIndex) + this.#delta(delta);
    return events;
  }

  /** The events that say why each choice ended. */
  finish({ finishReasons }: StreamResult): string {
    return finishReasons
      .map(
        ({ choiceIndex, finishReason }) =>
          this.#begin(choiceIndex) + this.#choice(choiceIndex, "{}", JSON.stringify(finishReason)),
      )
      .join("");
  }

  /** JSON text of the event that holds nothing but the usage. */
  usageJson({ attempts }: StreamResult): string | undefined {
    const usage = toChatUsage(attempts.at(-1)?.usage);
    return (
      usage && JSON.stringify({ ...frameMembers(this.#frame, "chat.completion.chunk"), choices: [], usage })
    );
  }

  /** The first event of a choice says who speaks. */
  #begin(choiceIndex: number): string {
    if (this.#begun.has(choiceIndex)) return "";
    this.#begun.add(choiceIndex);
    return this.#choice(choiceIndex, '{"role":"assistant","content":""}', "null");
  }

  #delta(delta: StreamDelta): string {
    const { choiceIndex } = delta;
    switch (delta.kind) {
      case "text":
        return this.#choice(choiceIndex, `{"content":${JSON.stringify(delta.text)}}`, "null");
      case "reasoning":
        return this.#choice(choiceIndex, `{"reasoning_content":${JSON.stringify(delta.text)}}`, "null");
      case "tool_call": {
        const { toolIndex, id, name, argumentsDelta } = delta;
        const call = {
          index: toolIndex,
          id,
          type: id === undefined ? undefined : "function",
          function: { name, arguments: argumentsDelta },
        };
        return this.#choice(choiceIndex, JSON.stringify({ tool_calls: [call] }), "null");
      }
      default:
        return delta satisfies never;
    }
  }

  #choice(index: number, deltaJson: string, finishReasonJson: string): string {
    const choice = `{"index":${index},"delta":${deltaJson},"logprobs":null,"finish_reason":${finishReasonJson}}`;
    return `${this.#prefix}[${choice}]}\n\n`;
  }
}
