import type { IncomingHttpHeaders } from "node:http";
import { createParser, type EventSourceMessage, type ParseError } from "eventsource-parser";
import type { FinishReason, StreamDelta, StreamEnd } from "../core/completion.ts";
import { finishFailed } from "./finish-failure.ts";
import { type ErrorRules, mapErrorBody } from "./http-error.ts";
import { badResponse, type SeenSoFar, streamCut } from "./map-error.ts";
import { readRequestId } from "./read-headers.ts";
import { type JsonObject, parseJson, readObject } from "./read-json.ts";
import type { StreamDecoder } from "./stream-call.ts";
import { StreamProgress } from "./stream-progress.ts";

/** Longest line and longest event of a stream, in characters. */
export const MAX_EVENT_LENGTH = 1024 * 1024;

/** A line of an event stream begins with a field name, a colon, or is empty; anything else is garbage. */
const FIELD_START = /^[deir:\r\uFEFF]/;

/** What one event brought: something of the answer, nothing that counts as progress, or the end of the stream. */
export type EventEffect = "content" | "nothing" | "end";

/** How a dialect streams. */
export interface StreamRules {
  /** Data of the event that ends a stream, when it is not JSON: OpenAI's `[DONE]`. */
  readonly terminalData: string | undefined;
  /**
   * What makes a stream complete that ends without its terminal event, besides a finish reason for every choice:
   * nothing does (`is_cut`); the usage, where the provider always sends it last; or nothing more.
   */
  readonly endWithoutTerminal: "is_cut" | "needs_usage" | "needs_finish_reason_only";
  /** One reader per stream: writes what an event says to the progress. @throws ProviderError */
  readonly createReader: (progress: StreamProgress) => (event: JsonObject) => EventEffect;
  readonly errors: ErrorRules;
  readonly requestIdHeaders: readonly string[];
}

/**
 * Reads the server-sent events of one call. The stream is whole when every choice that appeared has a finish reason
 * and the dialect's terminal event came; otherwise it was cut, however politely it ended.
 */
export class EventStreamDecoder implements StreamDecoder {
  readonly #rules: StreamRules;
  readonly #progress = new StreamProgress();
  readonly #read: (event: JsonObject) => EventEffect;
  readonly #parser = createParser({
    maxBufferSize: MAX_EVENT_LENGTH,
    onEvent: (event) => this.#onEvent(event),
    onError: (error) => this.#onParseError(error),
  });
  #contentEvents = 0;
  #events = 0;
  #done = false;
  #atLineStart = true;
  #ending = false;

  constructor(rules: StreamRules) {
    this.#rules = rules;
    this.#read = rules.createReader(this.#progress);
  }

  get done(): boolean {
    return this.#done;
  }

  get contentEvents(): number {
    return this.#contentEvents;
  }

  get seen(): SeenSoFar {
    return this.#progress.seen;
  }

  start(status: number, headers: IncomingHttpHeaders): void {
    this.#progress.providerStatus = status;
    this.#progress.providerRequestId = readRequestId(headers, this.#rules.requestIdHeaders);
  }

  feed(text: string): readonly StreamDelta[] {
    if (text === "" || this.#done) return [];
    this.#refuseGarbageStart(text);
    this.#parser.feed(text);
    return this.#progress.takeBatch();
  }

  finish(): StreamEnd {
    if (!this.#done) {
      // The last event counts even if the blank line after it is missing.
      this.#ending = true;
      this.#parser.feed("\n\n");
    }
    const { failure, usage, responseModel, providerRequestId, providerCostPicoUsd } = this.#progress;
    if (failure) throw finishFailed(failure, failure.finishReason, this.seen);
    const finishReasons = this.#readFinishReasons();
    if (!this.#done) this.#refuseUnlessComplete();
    return {
      finishReasons,
      responseModel,
      usage,
      providerRequestId,
      providerCostPicoUsd,
      outputBytes: this.#progress.outputBytes,
      deltas: this.#progress.deltas,
    };
  }

  #readFinishReasons(): StreamEnd["finishReasons"] {
    const finishReasons: { choiceIndex: number; finishReason: FinishReason }[] = [];
    for (const [choiceIndex, finishReason] of this.#progress.finishReasons) {
      if (finishReason === undefined) throw streamCut("a choice without a finish reason", this.seen);
      finishReasons.push({ choiceIndex, finishReason });
    }
    if (this.#events === 0) throw badResponse("a stream without events", this.seen);
    if (finishReasons.length === 0) {
      throw this.#done
        ? badResponse("a stream without choices", this.seen)
        : streamCut("no choices yet", this.seen);
    }
    return finishReasons;
  }

  #refuseUnlessComplete(): void {
    const { endWithoutTerminal } = this.#rules;
    if (endWithoutTerminal === "is_cut") throw streamCut("no terminal event", this.seen);
    if (endWithoutTerminal === "needs_usage" && this.#progress.usage.kind === "absent") {
      throw streamCut("neither a terminal event nor usage", this.seen);
    }
  }

  /** The parser drops a partial line that is no field without a word; a lost delta would go unnoticed. */
  #refuseGarbageStart(text: string): void {
    const lastLineStart = text.lastIndexOf("\n") + 1;
    const startsLine = lastLineStart > 0 || this.#atLineStart;
    this.#atLineStart = lastLineStart === text.length;
    if (startsLine && lastLineStart < text.length && !FIELD_START.test(text.charAt(lastLineStart))) {
      throw badResponse("a line of the stream that is no event", this.seen);
    }
  }

  #onParseError(error: ParseError): void {
    if (error.type === "invalid-retry") return;
    throw badResponse(
      error.type === "max-buffer-size-exceeded"
        ? `an event longer than ${MAX_EVENT_LENGTH} characters`
        : "a line of the stream that is no event",
      this.seen,
    );
  }

  #onEvent({ data, event: name }: EventSourceMessage): void {
    if (this.#done || data === "") return;
    this.#events += 1;
    const { terminalData, errors } = this.#rules;
    if (terminalData !== undefined && data.startsWith(terminalData)) {
      this.#end();
      return;
    }
    const event = readObject(parseJson(data));
    const isError = name === "error" || (event?.error !== undefined && event.error !== null);
    if (isError) throw mapErrorBody(event ?? { error: data }, { rules: errors, seen: this.seen });
    if (event === undefined) {
      // Half an event at the end of the response is where it was cut; anywhere else it is garbage.
      throw this.#ending
        ? streamCut("cut in mid-event", this.seen)
        : badResponse("an event that is no JSON", this.seen);
    }
    const effect = this.#read(event);
    if (effect === "end") this.#end();
    else if (effect === "content") this.#contentEvents += 1;
  }

  #end(): void {
    this.#done = true;
    this.#contentEvents += 1;
  }
}
