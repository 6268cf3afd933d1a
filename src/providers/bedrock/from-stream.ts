import type { EventEffect, EventReader } from "../event-stream-decoder.ts";
import { unknownFinishReason } from "../finish-failure.ts";
import { badResponse } from "../map-error.ts";
import { type JsonObject, readObject, readText } from "../read-json.ts";
import type { StreamProgress } from "../stream-progress.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";

/** Reads the events of one stream. @throws ProviderError for what is no such event */
export function createConverseReader(progress: StreamProgress): EventReader {
  const reader = new ConverseReader(progress);
  return (event, name) => reader.read(event, name);
}

/** `messageStart`, the blocks, `messageStop`, and at last `metadata` with the usage. */
class ConverseReader {
  readonly #progress: StreamProgress;
  /** Of the blocks that are tool calls: the block's index → the call's. */
  readonly #toolIndexes = new Map<unknown, number>();

  constructor(progress: StreamProgress) {
    this.#progress = progress;
  }

  read(event: JsonObject, name: string | undefined): EventEffect {
    const progress = this.#progress;
    switch (name) {
      case "messageStart":
        progress.begin(0);
        return "nothing";
      case "contentBlockStart":
        return this.#readStart(event.contentBlockIndex, readObject(readObject(event.start)?.toolUse));
      case "contentBlockDelta":
        return this.#readDelta(event.contentBlockIndex, readObject(event.delta));
      case "messageStop":
        return this.#readStop(readText(event.stopReason));
      case "metadata":
        progress.stateUsage(mapUsage(event.usage));
        return "end";
      default:
        return "nothing";
    }
  }

  #readStart(index: unknown, call: JsonObject | undefined): EventEffect {
    if (call === undefined) return "nothing";
    const toolIndex = this.#toolIndexes.size;
    this.#toolIndexes.set(index, toolIndex);
    const [id, name] = [readText(call.toolUseId), readText(call.name)];
    this.#progress.push({ kind: "tool_call", choiceIndex: 0, toolIndex, id, name, argumentsDelta: "" }, "");
    return "content";
  }

  #readDelta(index: unknown, delta: JsonObject | undefined): EventEffect {
    const progress = this.#progress;
    progress.begin(0);
    const call = readObject(delta?.toolUse);
    if (call) return this.#readArguments(index, readText(call.input));
    const text = readText(delta?.text);
    if (text !== undefined) progress.push({ kind: "text", choiceIndex: 0, text }, text);
    const reasoning = readText(readObject(delta?.reasoningContent)?.text);
    if (reasoning !== undefined) {
      progress.push({ kind: "reasoning", choiceIndex: 0, text: reasoning }, reasoning);
    }
    return text === undefined && reasoning === undefined ? "nothing" : "content";
  }

  #readArguments(index: unknown, argumentsDelta: string | undefined): EventEffect {
    const toolIndex = this.#toolIndexes.get(index);
    if (toolIndex === undefined) throw badResponse("arguments of no tool call", this.#progress.seen);
    if (argumentsDelta === undefined) return "nothing";
    const call = { kind: "tool_call", choiceIndex: 0, toolIndex, id: undefined, name: undefined } as const;
    this.#progress.push({ ...call, argumentsDelta }, argumentsDelta);
    return "content";
  }

  #readStop(stopReason: string | undefined): EventEffect {
    if (stopReason === undefined) return "nothing";
    const progress = this.#progress;
    const meaning = mapFinishReason(stopReason);
    if (meaning === undefined) throw unknownFinishReason(stopReason, progress.seen);
    if (typeof meaning === "string") progress.finishReasons.set(0, meaning);
    else progress.failure = { ...meaning, finishReason: stopReason };
    return "content";
  }
}
