import type { UsageReport } from "../../core/usage.ts";
import { NOT_RELAYED, type Relaying } from "../event-relay.ts";
import type { EventEffect } from "../event-stream-decoder.ts";
import { unknownFinishReason } from "../finish-failure.ts";
import { messageShowsTools, usageShowsTools } from "../hosted-tools.ts";
import { mapErrorBody } from "../http-error.ts";
import { badResponse } from "../map-error.ts";
import { type JsonObject, readArray, readObject, readText } from "../read-json.ts";
import { parseStatedCost } from "../stated-cost.ts";
import type { StreamProgress } from "../stream-progress.ts";
import { type ChatContext, readArguments, readContent, readReasoning } from "./from-response.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";

/** Reads the chunks of one stream. @throws ProviderError for what is no chunk */
export function createChatReader(
  progress: StreamProgress,
  context: ChatContext,
  relaying: Relaying = NOT_RELAYED,
): (chunk: JsonObject) => EventEffect {
  const reader = new ChatReader(progress, context, relaying);
  return (chunk) => (reader.readChunk(chunk) ? "content" : "nothing");
}

class ChatReader {
  readonly #progress: StreamProgress;
  readonly #context: ChatContext;
  readonly #relayed: boolean;

  constructor(progress: StreamProgress, context: ChatContext, { relayed }: Relaying) {
    this.#progress = progress;
    this.#context = context;
    this.#relayed = relayed;
  }

  /** Whether there was anything in it. */
  readChunk(chunk: JsonObject): boolean {
    const progress = this.#progress;
    progress.responseModel ??= readText(chunk.model);
    const usage = this.#readUsage(chunk);
    let hasContent = usage.kind !== "absent";
    for (const [position, wireChoice] of readArray(chunk.choices).entries()) {
      const choice = readObject(wireChoice);
      if (choice === undefined) throw badResponse("a choice that is no object", progress.seen);
      if (this.#readChoice(choice, position)) hasContent = true;
    }
    // A usage covers what its own chunk brings.
    progress.stateUsage(usage);
    return hasContent;
  }

  #readUsage(chunk: JsonObject): UsageReport {
    const { profile, errors } = this.#context;
    const progress = this.#progress;
    const extension = profile.chunkExtension && readObject(chunk[profile.chunkExtension]);
    const stated = chunk.usage ?? (extension ? extension.usage : undefined);
    const usage = mapUsage(stated, profile);
    progress.stateUsage(usage);
    if (usageShowsTools(stated)) progress.separatelyBilledTools = true;
    if (profile.statesCost) progress.providerCostPicoUsd ??= parseStatedCost(readObject(stated)?.cost);
    if (extension && extension.error !== undefined && extension.error !== null) {
      throw mapErrorBody(extension, { rules: errors, seen: progress.seen });
    }
    return usage;
  }

  #readChoice(choice: JsonObject, position: number): boolean {
    const progress = this.#progress;
    const index = readIndex(choice.index) ?? position;
    progress.begin(index);
    const deltasBefore = progress.deltas;
    const delta = readObject(choice.delta);
    if (delta !== undefined) this.#readDelta(delta, index);
    const finishReason = choice.finish_reason;
    if (typeof finishReason === "string" && finishReason !== "") this.#readFinishReason(finishReason, index);
    else if (progress.deltas === deltasBefore) return this.#relayed && hasUnknownContent(delta);
    return true;
  }

  #readDelta(delta: JsonObject, choiceIndex: number): void {
    const progress = this.#progress;
    if (messageShowsTools(delta)) progress.separatelyBilledTools = true;
    const reasoning = readReasoning(delta);
    if (reasoning !== undefined)
      progress.push({ kind: "reasoning", choiceIndex, text: reasoning }, reasoning);
    // A refusal is what the model says to the user; a stream has no other place for it.
    const text = readContent(delta.content) ?? readText(delta.refusal);
    if (text !== undefined) progress.push({ kind: "text", choiceIndex, text }, text);
    for (const [position, wireCall] of readArray(delta.tool_calls).entries()) {
      const call = readObject(wireCall);
      const target = readObject(call?.function);
      if (call === undefined) continue;
      const argumentsDelta = readArguments(target?.arguments) ?? "";
      const id = readText(call.id);
      const name = readText(target?.name);
      if (id === undefined && name === undefined && argumentsDelta === "") continue;
      const toolIndex = readIndex(call.index) ?? position;
      progress.push({ kind: "tool_call", choiceIndex, toolIndex, id, name, argumentsDelta }, argumentsDelta);
    }
  }

  #readFinishReason(finishReason: string, choiceIndex: number): void {
    const progress = this.#progress;
    const meaning = mapFinishReason(finishReason, this.#context.profile);
    if (meaning === undefined && !this.#relayed) throw unknownFinishReason(finishReason, progress.seen);
    if (typeof meaning !== "object") progress.finishReasons.set(choiceIndex, meaning ?? "stop");
    // The usage comes after the finish reason: the failure waits for it.
    else progress.failure = { ...meaning, finishReason };
  }
}

/** What a reader of the dialect may make something of, such as audio; the role and empty members are nothing. */
function hasUnknownContent(delta: JsonObject | undefined): boolean {
  for (const name in delta) {
    const value = delta[name];
    const isEmpty = value === null || value === "" || (Array.isArray(value) && value.length === 0);
    if (name !== "role" && !isEmpty) return true;
  }
  return false;
}

function readIndex(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
