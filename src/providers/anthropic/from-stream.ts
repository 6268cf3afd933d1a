import { toSoFar } from "../early-usage.ts";
import { NOT_RELAYED, type Relaying } from "../event-relay.ts";
import type { EventEffect } from "../event-stream-decoder.ts";
import { unknownFinishReason } from "../finish-failure.ts";
import { badResponse } from "../map-error.ts";
import { type JsonObject, readObject, readText } from "../read-json.ts";
import type { StreamProgress } from "../stream-progress.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { chargesBeyondTokens, mapStartUsage, mapUsage, mergeUsage } from "./map-usage.ts";

/** Reads the events of one stream. @throws ProviderError for what is no such event */
export function createMessagesReader(
  progress: StreamProgress,
  relaying: Relaying = NOT_RELAYED,
): (event: JsonObject) => EventEffect {
  const reader = new MessagesReader(progress, relaying);
  return (event) => reader.read(event);
}

/** `message_start`, then for each block its start, deltas and stop, then `message_delta` and `message_stop`. */
class MessagesReader {
  readonly #progress: StreamProgress;
  /** Then content that is unknown here is content for its reader. */
  readonly #relayed: boolean;
  /** Of the blocks that are tool calls: the block's index → the call's. */
  readonly #toolIndexes = new Map<unknown, number>();
  #startUsage: unknown;
  #stopped = false;

  constructor(progress: StreamProgress, { relayed }: Relaying) {
    this.#progress = progress;
    this.#relayed = relayed;
  }

  read(event: JsonObject): EventEffect {
    switch (event.type) {
      case "message_start":
        this.#readStart(readObject(event.message));
        return "nothing";
      case "content_block_start":
        return this.#readBlockStart(event.index, readObject(event.content_block));
      case "content_block_delta":
        return this.#readDelta(event.index, readObject(event.delta));
      case "message_delta":
        return this.#readMessageDelta(event);
      case "message_stop":
        return "end";
      default:
        // ping, content_block_stop, and what may come later: the API asks for unknown events to be ignored.
        return "nothing";
    }
  }

  #readStart(message: JsonObject | undefined): void {
    const progress = this.#progress;
    if (message === undefined) throw badResponse("a message_start without a message", progress.seen);
    progress.begin(0);
    progress.responseModel = readText(message.model);
    this.#startUsage = message.usage;
    progress.chargesBeyondTokens ||= chargesBeyondTokens(message.usage);
    progress.stateUsage(mapStartUsage(message.usage));
  }

  #readBlockStart(index: unknown, block: JsonObject | undefined): EventEffect {
    const isText = block?.type === "text" || block?.type === "thinking";
    if (!isText && block?.type !== "tool_use") return this.#unknown();
    if (isText) return this.#pushText(block.type, readText(block.text));
    const toolIndex = this.#toolIndexes.size;
    this.#toolIndexes.set(index, toolIndex);
    const [id, name] = [readText(block.id), readText(block.name)];
    this.#progress.push({ kind: "tool_call", choiceIndex: 0, toolIndex, id, name, argumentsDelta: "" }, "");
    return "content";
  }

  #readDelta(index: unknown, delta: JsonObject | undefined): EventEffect {
    this.#progress.begin(0);
    switch (delta?.type) {
      case "text_delta":
        return this.#pushText("text", readText(delta.text));
      case "thinking_delta":
        return this.#pushText("thinking", readText(delta.thinking));
      case "input_json_delta":
        return this.#pushArguments(index, readText(delta.partial_json));
      default:
        // A signature of thinking, a citation.
        return this.#unknown();
    }
  }

  #unknown(): EventEffect {
    return this.#relayed ? "content" : "nothing";
  }

  #pushText(type: unknown, text: string | undefined): EventEffect {
    if (text === undefined) return "nothing";
    const kind = type === "thinking" ? "reasoning" : "text";
    this.#progress.push({ kind, choiceIndex: 0, text }, text);
    return "content";
  }

  #pushArguments(index: unknown, argumentsDelta: string | undefined): EventEffect {
    const toolIndex = this.#toolIndexes.get(index);
    if (toolIndex === undefined) {
      // Of a tool that the provider runs itself.
      if (this.#relayed) return "content";
      throw badResponse("arguments of no tool call", this.#progress.seen);
    }
    if (argumentsDelta === undefined) return "nothing";
    const call = { kind: "tool_call", choiceIndex: 0, toolIndex, id: undefined, name: undefined } as const;
    this.#progress.push({ ...call, argumentsDelta }, argumentsDelta);
    return "content";
  }

  #readMessageDelta(event: JsonObject): EventEffect {
    const progress = this.#progress;
    const stopReason = readText(readObject(event.delta)?.stop_reason);
    if (stopReason !== undefined) this.#readStopReason(stopReason);
    const usage = readObject(event.usage);
    if (usage) {
      const merged = mergeUsage(this.#startUsage, usage);
      const report = mapUsage(merged);
      progress.chargesBeyondTokens ||= chargesBeyondTokens(merged);
      progress.stateUsage(this.#stopped ? report : toSoFar(report));
    }
    return usage || stopReason !== undefined ? "content" : "nothing";
  }

  #readStopReason(stopReason: string): void {
    const progress = this.#progress;
    const meaning = mapFinishReason(stopReason);
    if (meaning === undefined && !this.#relayed) throw unknownFinishReason(stopReason, progress.seen);
    if (typeof meaning !== "object") progress.finishReasons.set(0, meaning ?? "stop");
    else progress.failure = { ...meaning, finishReason: stopReason };
    this.#stopped = true;
  }
}
