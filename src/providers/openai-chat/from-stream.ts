import type { IncomingHttpHeaders } from "node:http";
import { createParser, type EventSourceMessage, type ParseError } from "eventsource-parser";
import type { FinishReason, StreamDelta, StreamEnd } from "../../core/completion.ts";
import { ProviderError } from "../../core/provider-error.ts";
import type { UsageReport } from "../../core/usage.ts";
import { badResponse, type SeenSoFar, streamCut } from "../map-error.ts";
import { type JsonObject, parseJson, readArray, readObject, readText } from "../read-json.ts";
import type { StreamDecoder } from "../stream-call.ts";
import { NOT_RELAYED, type Relaying, readArguments, readContent } from "./from-response.ts";
import { type ErrorContext, mapErrorBody } from "./map-error.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { latestUsage, mapUsage } from "./map-usage.ts";
import type { FinishFailure } from "./profile.ts";
import { readRequestId } from "./read-headers.ts";

/** Longest line and longest event of a stream, in characters. */
export const MAX_EVENT_LENGTH = 1024 * 1024;

/** A line of an event stream begins with a field name, a colon, or is empty; anything else is garbage. */
const FIELD_START = /^[deir:\r\uFEFF]/;

/**
 * Reads the event stream of one call.
 *
 * The stream is whole when every choice that appeared has a finish reason and `[DONE]` came; without `[DONE]` the
 * profile says whether a clean end is enough. Otherwise it was cut, however politely it ended.
 */
export class ChatStreamDecoder implements StreamDecoder {
  readonly #context: ErrorContext;
  readonly #relayed: boolean;
  readonly #parser = createParser({
    maxBufferSize: MAX_EVENT_LENGTH,
    onEvent: (event) => this.#onEvent(event),
    onError: (error) => this.#onParseError(error),
  });
  readonly #finishReasons = new Map<number, FinishReason | undefined>();
  #deltas: StreamDelta[] = [];
  #failure: { readonly reason: FinishFailure["failure"]; readonly finishReason: string } | undefined;
  #usage: UsageReport = { kind: "absent" };
  #responseModel: string | undefined;
  #providerStatus: number | undefined;
  #providerRequestId: string | undefined;
  #outputBytes = 0;
  #deltaCount = 0;
  #contentEvents = 0;
  #events = 0;
  #done = false;
  #atLineStart = true;
  #ending = false;
  /** Events to relay that were not taken yet. */
  #native = "";
  #usageJson: string | undefined;

  constructor(context: ErrorContext, { relayed }: Relaying = NOT_RELAYED) {
    this.#context = context;
    this.#relayed = relayed;
  }

  get done(): boolean {
    return this.#done;
  }

  get contentEvents(): number {
    return this.#contentEvents;
  }

  get seen(): SeenSoFar {
    return {
      usage: this.#usage,
      received: { outputBytes: this.#outputBytes, deltas: this.#deltaCount },
      providerStatus: this.#providerStatus,
      providerRequestId: this.#providerRequestId,
    };
  }

  /** Nothing before the first content: until then the call can still be given to another provider. */
  takeNative(): string | undefined {
    if (!this.#relayed) return undefined;
    if (this.#contentEvents === 0) return "";
    const native = this.#native;
    this.#native = "";
    return native;
  }

  start(status: number, headers: IncomingHttpHeaders): void {
    this.#providerStatus = status;
    this.#providerRequestId = readRequestId(headers, this.#context.profile.requestIdHeaders);
  }

  feed(text: string): readonly StreamDelta[] {
    if (text === "" || this.#done) return [];
    this.#refuseGarbageStart(text);
    this.#parser.feed(text);
    const deltas = this.#deltas;
    this.#deltas = [];
    return deltas;
  }

  finish(): StreamEnd {
    if (!this.#done) {
      // The last event counts even if the blank line after it is missing.
      this.#ending = true;
      this.#parser.feed("\n\n");
    }
    if (this.#failure) {
      throw new ProviderError(this.#failure.reason, "the provider gave up on the answer", {
        ...this.seen,
        billing: "maybe_billed",
        cause: this.#failure.finishReason,
      });
    }
    const finishReasons: { choiceIndex: number; finishReason: FinishReason }[] = [];
    for (const [choiceIndex, finishReason] of this.#finishReasons) {
      if (finishReason === undefined) throw streamCut("a choice without a finish reason", this.seen);
      finishReasons.push({ choiceIndex, finishReason });
    }
    if (this.#events === 0) throw badResponse("a stream without events", this.seen);
    if (finishReasons.length === 0) {
      throw this.#done
        ? badResponse("a stream without choices", this.seen)
        : streamCut("no choices yet", this.seen);
    }
    const needsUsage = !this.#done && this.#context.profile.endWithoutDone === "needs_usage";
    if (needsUsage && this.#usage.kind === "absent") throw streamCut("neither [DONE] nor usage", this.seen);
    return {
      finishReasons,
      responseModel: this.#responseModel,
      usage: this.#usage,
      providerRequestId: this.#providerRequestId,
      outputBytes: this.#outputBytes,
      deltas: this.#deltaCount,
      ...(this.#relayed && { native: { tail: this.takeNative() ?? "", usageJson: this.#usageJson } }),
    };
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

  #onEvent(event: EventSourceMessage): void {
    const { data } = event;
    if (this.#done || data === "") return;
    this.#events += 1;
    if (data.startsWith("[DONE]")) {
      this.#done = true;
      this.#contentEvents += 1;
      return;
    }
    const chunk = readObject(parseJson(data));
    const isError = event.event === "error" || (chunk?.error !== undefined && chunk.error !== null);
    if (isError) throw mapErrorBody(chunk ?? { error: data }, { ...this.#context, seen: this.seen });
    if (chunk === undefined) {
      // Half an event at the end of the response is where it was cut; anywhere else it is garbage.
      throw this.#ending
        ? streamCut("cut in mid-event", this.seen)
        : badResponse("an event that is no JSON", this.seen);
    }
    this.#readChunk(chunk);
    if (this.#relayed) this.#relay(event, chunk);
  }

  /** The usage waits for the end, where what the call cost is known. */
  #relay({ event, data }: EventSourceMessage, chunk: JsonObject): void {
    const { usage, choices } = chunk;
    if (usage !== undefined && usage !== null && readArray(choices).length === 0) {
      this.#usageJson = data;
      return;
    }
    if (event !== undefined) this.#native += `event: ${event}\n`;
    this.#native += `data: ${data.includes("\n") ? data.replaceAll("\n", "\ndata: ") : data}\n\n`;
  }

  #readChunk(chunk: JsonObject): void {
    this.#responseModel ??= readText(chunk.model);
    const usage = mapUsage(chunk.usage, this.#context.profile);
    this.#usage = latestUsage(this.#usage, usage);
    let hasContent = usage.kind !== "absent";
    for (const [position, wireChoice] of readArray(chunk.choices).entries()) {
      const choice = readObject(wireChoice);
      if (choice === undefined) throw badResponse("a choice that is no object", this.seen);
      if (this.#readChoice(choice, position)) hasContent = true;
    }
    if (hasContent) this.#contentEvents += 1;
  }

  /** Whether there was anything in it. */
  #readChoice(choice: JsonObject, position: number): boolean {
    const index = readIndex(choice.index) ?? position;
    if (!this.#finishReasons.has(index)) this.#finishReasons.set(index, undefined);
    const deltasBefore = this.#deltaCount;
    const delta = readObject(choice.delta);
    if (delta !== undefined) this.#readDelta(delta, index);
    const finishReason = choice.finish_reason;
    if (typeof finishReason === "string" && finishReason !== "") this.#readFinishReason(finishReason, index);
    else if (this.#deltaCount === deltasBefore) return this.#relayed && hasUnknownContent(delta);
    return true;
  }

  #readDelta(delta: JsonObject, choiceIndex: number): void {
    const reasoning = readText(delta.reasoning_content) ?? readText(delta.reasoning);
    if (reasoning !== undefined) this.#push({ kind: "reasoning", choiceIndex, text: reasoning }, reasoning);
    // A refusal is what the model says to the user; a stream has no other place for it.
    const text = readContent(delta.content) ?? readText(delta.refusal);
    if (text !== undefined) this.#push({ kind: "text", choiceIndex, text }, text);
    const toolCalls = delta.tool_calls;
    if (!Array.isArray(toolCalls)) return;
    for (const [position, wireCall] of toolCalls.entries()) {
      const call = readObject(wireCall);
      const target = readObject(call?.function);
      if (call === undefined) continue;
      const argumentsDelta = readArguments(target?.arguments) ?? "";
      const id = readText(call.id);
      const name = readText(target?.name);
      if (id === undefined && name === undefined && argumentsDelta === "") continue;
      const toolIndex = readIndex(call.index) ?? position;
      this.#push({ kind: "tool_call", choiceIndex, toolIndex, id, name, argumentsDelta }, argumentsDelta);
    }
  }

  #readFinishReason(wireFinishReason: string, choiceIndex: number): void {
    const finishReason = mapFinishReason(wireFinishReason, this.#context.profile);
    if (finishReason === undefined && !this.#relayed) {
      throw badResponse(`unknown finish reason ${JSON.stringify(wireFinishReason.slice(0, 40))}`, this.seen);
    }
    if (typeof finishReason !== "object") {
      this.#finishReasons.set(choiceIndex, finishReason ?? "stop");
      return;
    }
    // The usage comes after the finish reason: the failure waits for it.
    this.#failure = { reason: finishReason.failure, finishReason: wireFinishReason };
  }

  #push(delta: StreamDelta, output: string): void {
    this.#deltas.push(delta);
    this.#deltaCount += 1;
    this.#outputBytes += Buffer.byteLength(output);
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
