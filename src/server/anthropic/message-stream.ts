import type { StreamDelta } from "../../core/completion.ts";
import type { StreamResult } from "../../core/gateway.ts";
import { type StreamWriter, withFacts } from "../compatible/completion-format.ts";
import {
  type AnswerFrame,
  messageMembers,
  stopMembers,
  textBlock,
  thinkingBlock,
  toMessageUsage,
  toolUseBlock,
} from "./message-answer.ts";

/** Says that the answer goes on, while nothing of it is to be shown. */
const PING = 'event: ping\ndata: {"type":"ping"}\n\n';

/** The events of one message. */
export class MessageStreamWriter implements StreamWriter {
  readonly #options: Omit<AnswerFrame, "model">;
  #model = "";
  #translated: MessageEvents | undefined;

  constructor(options: Omit<AnswerFrame, "model">) {
    this.#options = options;
  }

  started(model: string): void {
    this.#model = model;
  }

  deltas(deltas: readonly StreamDelta[]): string {
    return this.#events().deltas(deltas);
  }

  relay(events: string): string {
    return events;
  }

  /** Both ways the last event is `message_stop`. */
  end(result: StreamResult, factsJson: string): string {
    const rest = result.native ? result.native.tail : this.#events().finish(result);
    return `${withFacts(rest, factsJson)}\n\n`;
  }

  fail(error: object, factsJson: string): string {
    return `event: error\ndata: ${withFacts(JSON.stringify(error), factsJson)}\n\n`;
  }

  #events(): MessageEvents {
    this.#translated ??= new MessageEvents({ ...this.#options, model: this.#model });
    return this.#translated;
  }
}

/** What a block of content is: text, thinking, or the tool call of an index. */
type BlockKey = "text" | "thinking" | number;

/** Makes the events of a stream in another dialect: deltas become blocks, one after the other. */
class MessageEvents {
  readonly #frame: AnswerFrame;
  /** Of the tool calls: their index → their block's. */
  readonly #toolBlocks = new Map<number, number>();
  #begun = false;
  #open: BlockKey | undefined;
  #blockIndex = -1;

  constructor(frame: AnswerFrame) {
    this.#frame = frame;
  }

  deltas(deltas: readonly StreamDelta[]): string {
    let events = "";
    for (const delta of deltas) events += this.#delta(delta);
    return this.#begin() + (events === "" ? PING : events);
  }

  finish({ finishReasons, attempts }: StreamResult): string {
    const finishReason = finishReasons[0]?.finishReason ?? "stop";
    return (
      this.#begin() +
      this.#close() +
      event("message_delta", {
        delta: { ...stopMembers(finishReason), container: null },
        usage: toMessageUsage(attempts.at(-1)?.usage),
      }) +
      event("message_stop", {})
    );
  }

  /** Other providers state their usage at the end: `message_delta` has all of it. */
  #begin(): string {
    if (this.#begun) return "";
    this.#begun = true;
    const usage = { ...toMessageUsage(undefined), input_tokens: 0, output_tokens: 0 };
    const stop = { stop_reason: null, stop_sequence: null, stop_details: null };
    return event("message_start", {
      message: { ...messageMembers(this.#frame), content: [], ...stop, usage },
    });
  }

  /** The dialect has one answer: others than the first are no part of it. */
  #delta(delta: StreamDelta): string {
    if (delta.choiceIndex !== 0) return "";
    switch (delta.kind) {
      case "text":
        if (delta.text === "") return "";
        return this.#enter("text", textBlock("")) + this.#change({ type: "text_delta", text: delta.text });
      case "reasoning":
        if (delta.text === "" || !this.#frame.showsThinking) return "";
        return (
          this.#enter("thinking", thinkingBlock("")) +
          this.#change({ type: "thinking_delta", thinking: delta.text })
        );
      case "tool_call":
        return this.#toolCall(delta);
      default:
        return delta satisfies never;
    }
  }

  #toolCall(delta: Extract<StreamDelta, { kind: "tool_call" }>): string {
    const { toolIndex, argumentsDelta } = delta;
    let events = "";
    if (!this.#toolBlocks.has(toolIndex)) {
      const id = delta.id ?? `toolu_${this.#frame.requestId}_${toolIndex}`;
      events = this.#enter(toolIndex, toolUseBlock(id, delta.name ?? ""));
      this.#toolBlocks.set(toolIndex, this.#blockIndex);
    }
    if (argumentsDelta === "") return events;
    const change = { type: "input_json_delta", partial_json: argumentsDelta };
    return events + this.#change(change, this.#toolBlocks.get(toolIndex));
  }

  #enter(key: BlockKey, block: object): string {
    if (this.#open === key) return "";
    const closing = this.#close();
    this.#open = key;
    this.#blockIndex += 1;
    return closing + event("content_block_start", { index: this.#blockIndex, content_block: block });
  }

  #close(): string {
    if (this.#open === undefined) return "";
    this.#open = undefined;
    return event("content_block_stop", { index: this.#blockIndex });
  }

  #change(delta: object, index: number = this.#blockIndex): string {
    return event("content_block_delta", { index, delta });
  }
}

function event(type: string, members: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`;
}
