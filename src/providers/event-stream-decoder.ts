import type { IncomingHttpHeaders } from "node:http";
import type { FinishReason, StreamDelta, StreamEnd } from "../core/completion.ts";
import { EventParser, type FindTexts } from "./event-parser.ts";
import { EventRelay, NOT_RELAYED, type Relaying } from "./event-relay.ts";
import { finishFailed } from "./finish-failure.ts";
import type { Framing, FramingKind } from "./framing.ts";
import { type ErrorRules, mapErrorBody } from "./http-error.ts";
import { badResponse, type SeenSoFar, streamCut } from "./map-error.ts";
import { readRequestId } from "./read-headers.ts";
import type { JsonObject } from "./read-json.ts";
import type { StreamDecoder } from "./stream-call.ts";
import { StreamProgress } from "./stream-progress.ts";

/** What one event brought: something of the answer, nothing that counts as progress, or the end of the stream. */
export type EventEffect = "content" | "nothing" | "end";

/** Reads one event; `name` is what its framing calls it. */
export type EventReader = (event: JsonObject, name: string | undefined) => EventEffect;

/** How a dialect streams. */
export interface StreamRules {
  readonly framing: FramingKind;
  /** Data of the event that ends a stream, when it is not JSON: OpenAI's `[DONE]`. */
  readonly terminalData: string | undefined;
  /**
   * What makes a stream complete that ends without its terminal event, besides a finish reason for every choice:
   * nothing does (`is_cut`); the usage, where the provider always sends it last; or nothing more.
   */
  readonly endWithoutTerminal: "is_cut" | "needs_usage" | "needs_finish_reason_only";
  /** Characters of events that may be held until the first content, when they are relayed. Default 1 Mi. */
  readonly maxHeldLength?: number | undefined;
  /** One reader per stream: writes what an event says to the progress, and keeps no part of it. @throws ProviderError */
  readonly createReader: (progress: StreamProgress, relaying: Relaying) => EventReader;
  /** Where most events differ from the one before in nothing but texts: where those are. */
  readonly findTexts?: FindTexts | undefined;
  /** Of a dialect that is relayed: whether an event holds nothing but the usage. */
  readonly isUsageOnly?: ((event: JsonObject) => boolean) | undefined;
  readonly errors: ErrorRules;
  readonly requestIdHeaders: readonly string[];
}

const DEFAULT_MAX_HELD_LENGTH = 1024 * 1024;

/**
 * Reads the events of one call. The stream is whole when every choice that appeared has a finish reason
 * and the dialect's terminal event came; otherwise it was cut, however politely it ended.
 */
export class EventStreamDecoder implements StreamDecoder {
  readonly #rules: StreamRules;
  readonly #progress = new StreamProgress();
  readonly #read: EventReader;
  readonly #framing: Framing;
  readonly #parser: EventParser;
  readonly #relay: EventRelay | undefined;
  #contentEvents = 0;
  /** There was content to be relayed. */
  #begun = false;
  /** A part of the answer was handed out. */
  #delivered = false;
  /** What ended the stream after that. */
  #failure: { readonly error: unknown } | undefined;
  #events = 0;
  #done = false;
  #ending = false;

  constructor(rules: StreamRules, relaying: Relaying = NOT_RELAYED) {
    this.#rules = rules;
    this.#relay = relaying.relayed ? new EventRelay() : undefined;
    this.#read = rules.createReader(this.#progress, relaying);
    this.#parser = new EventParser(rules.findTexts);
    this.#framing = rules.framing.create({
      onEvent: (name, data) => this.#onEvent(name, data),
      onError: (body) => this.#onError(body),
      onGarbage: (detail) => {
        throw badResponse(detail, this.seen);
      },
    });
  }

  get encoding(): FramingKind["encoding"] {
    return this.#rules.framing.encoding;
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

  /** Nothing before the first content: until then the call can still be given to another provider. */
  takeNative(): string | undefined {
    if (!this.#relay || !this.#begun) return this.#relay && "";
    this.#delivered = true;
    return this.#relay.take();
  }

  start(status: number, headers: IncomingHttpHeaders): void {
    this.#progress.providerStatus = status;
    this.#progress.providerRequestId = readRequestId(headers, this.#rules.requestIdHeaders);
  }

  feed(text: string): readonly StreamDelta[] {
    if (text === "" || this.#done) return [];
    try {
      this.#framing.feed(text);
    } catch (error) {
      // Before anything was delivered another provider may still answer, and what came with the failure is dropped.
      if (!this.#delivered) throw error;
      // After that it belongs to the answer: the failure waits until it was taken.
      this.#failure = { error };
      this.#done = true;
    }
    const batch = this.#progress.takeBatch();
    if (batch.length > 0) this.#delivered = true;
    return batch;
  }

  finish(): StreamEnd {
    if (this.#failure) throw this.#failure.error;
    if (!this.#done) {
      this.#ending = true;
      this.#framing.end();
    }
    const { failure, usage, responseModel, providerRequestId, providerCostPicoUsd, separatelyBilledTools } =
      this.#progress;
    if (failure) throw finishFailed(failure, failure.finishReason, this.seen);
    const finishReasons = this.#readFinishReasons();
    if (!this.#done) this.#refuseUnlessComplete();
    return {
      finishReasons,
      responseModel,
      usage,
      providerRequestId,
      providerCostPicoUsd,
      ...(separatelyBilledTools && { separatelyBilledTools }),
      outputBytes: this.#progress.outputBytes,
      deltas: this.#progress.deltas,
      native: this.#relay?.end(),
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
    const { kind } = this.#progress.usage;
    if (endWithoutTerminal === "needs_usage" && (kind === "absent" || kind === "so_far")) {
      throw streamCut("neither a terminal event nor usage", this.seen);
    }
  }

  #onError(body: JsonObject): never {
    throw mapErrorBody(body, { rules: this.#rules.errors, seen: this.seen });
  }

  #onEvent(name: string | undefined, data: string): void {
    if (this.#done || data === "") return;
    this.#events += 1;
    const { terminalData } = this.#rules;
    if (terminalData !== undefined && data.startsWith(terminalData)) {
      this.#end();
      return;
    }
    const event = this.#parser.parse(data);
    const isError = name === "error" || (event?.error !== undefined && event.error !== null);
    if (isError) this.#onError(event ?? { error: data });
    if (event === undefined) {
      // Half an event at the end of the response is where it was cut; anywhere else it is garbage.
      throw this.#ending
        ? streamCut("cut in mid-event", this.seen)
        : badResponse("an event that is no JSON", this.seen);
    }
    const effect = this.#read(event, name);
    if (effect === "end") this.#end();
    else if (effect === "content") this.#contentEvents += 1;
    this.#toRelay(event, name, data, effect);
    const { maxHeldLength = DEFAULT_MAX_HELD_LENGTH } = this.#rules;
    if (!this.#begun && this.#relay && this.#relay.length > maxHeldLength) {
      throw badResponse(`more than ${maxHeldLength} characters of events without content`, this.seen);
    }
  }

  /** A usage is no content: a stream that brings nothing else has not begun. */
  #toRelay(event: JsonObject, name: string | undefined, data: string, effect: EventEffect): void {
    if (this.#rules.isUsageOnly?.(event)) {
      this.#relay?.addUsage(data, name);
      return;
    }
    this.#relay?.add(name, data);
    if (effect === "content") this.#begun = true;
  }

  #end(): void {
    this.#done = true;
    this.#contentEvents += 1;
  }
}
