import { toSoFar } from "../early-usage.ts";
import type { EventEffect } from "../event-stream-decoder.ts";
import { unknownFinishReason } from "../finish-failure.ts";
import { badResponse } from "../map-error.ts";
import { type JsonObject, readArray, readObject, readText } from "../read-json.ts";
import type { StreamProgress } from "../stream-progress.ts";
import { promptBlocked } from "./from-response.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";
import { readBlockReason, readCandidateParts, toDelta } from "./read-candidate.ts";

/** Reads the chunks of one stream, each of which looks like a whole response. @throws ProviderError */
export function createContentReader(progress: StreamProgress): (chunk: JsonObject) => EventEffect {
  const reader = new ContentReader(progress);
  return (chunk) => (reader.read(chunk) ? "content" : "nothing");
}

class ContentReader {
  readonly #progress: StreamProgress;
  /** How many calls each choice has made so far. */
  readonly #toolCalls = new Map<number, number>();

  constructor(progress: StreamProgress) {
    this.#progress = progress;
  }

  /** Whether there was anything in it. */
  read(chunk: JsonObject): boolean {
    const progress = this.#progress;
    progress.responseModel ??= readText(chunk.modelVersion);
    progress.providerRequestId ??= readText(chunk.responseId);
    let hasContent = false;
    const candidates = readArray(chunk.candidates);
    for (const [position, wireCandidate] of candidates.entries()) {
      const candidate = readObject(wireCandidate);
      if (candidate === undefined) throw badResponse("a candidate that is no object", progress.seen);
      if (this.#readCandidate(candidate, position)) hasContent = true;
    }
    const isBlocked = candidates.length === 0 && readBlockReason(chunk) !== undefined;
    this.#readUsage(chunk.usageMetadata, isBlocked);
    if (isBlocked) throw promptBlocked(chunk, progress.seen);
    return hasContent;
  }

  /** Every chunk states what was counted until then; before the finish reason it is not final. */
  #readUsage(usageMetadata: unknown, isBlocked: boolean): void {
    const progress = this.#progress;
    const report = mapUsage(usageMetadata);
    if (report.kind === "absent") return;
    const reasons = [...progress.finishReasons.values()];
    const hasFinished =
      isBlocked ||
      progress.failure !== undefined ||
      (reasons.length > 0 && reasons.every((finishReason) => finishReason !== undefined));
    progress.stateUsage(hasFinished ? report : toSoFar(report));
  }

  #readCandidate(candidate: JsonObject, position: number): boolean {
    const progress = this.#progress;
    const { index } = candidate;
    const choiceIndex =
      typeof index === "number" && Number.isSafeInteger(index) && index >= 0 ? index : position;
    progress.begin(choiceIndex);
    const parts = readCandidateParts(candidate);
    for (const part of parts) {
      const toolIndex = this.#toolCalls.get(choiceIndex) ?? 0;
      if (part.kind === "tool_call") this.#toolCalls.set(choiceIndex, toolIndex + 1);
      progress.push(
        toDelta(part, choiceIndex, toolIndex),
        part.kind === "tool_call" ? part.argumentsJson : part.text,
      );
    }
    const finishReason = readText(candidate.finishReason);
    if (finishReason !== undefined) this.#readFinishReason(finishReason, choiceIndex);
    return parts.length > 0 || finishReason !== undefined;
  }

  #readFinishReason(finishReason: string, choiceIndex: number): void {
    const progress = this.#progress;
    const meaning = mapFinishReason(finishReason, this.#toolCalls.has(choiceIndex));
    if (meaning === undefined) throw unknownFinishReason(finishReason, progress.seen);
    if (typeof meaning === "string") progress.finishReasons.set(choiceIndex, meaning);
    else progress.failure = { ...meaning, finishReason };
  }
}
