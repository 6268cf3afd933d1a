import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingHttpHeaders } from "node:http";
import { StringDecoder } from "node:string_decoder";
import type { StreamDelta, StreamEnd, StreamSink } from "../core/completion.ts";
import type { ProviderError } from "../core/provider-error.ts";
import { BodyCollector, type BufferedResponse, isSuccess } from "./buffered-call.ts";
import type {
  Exchange,
  HttpTransport,
  PostRequest,
  ResponseListener,
  TransportFailure,
} from "./http-transport.ts";
import { mapAbort, mapTransportFailure, type SeenSoFar } from "./map-error.ts";

/** Turns the text of one stream into deltas. One per call; a dialect implements it. */
export interface StreamDecoder {
  /** How the bytes of the response become the text that is fed; `latin1` keeps every byte. */
  readonly encoding: "utf8" | "latin1";
  /** Told once, before any text. */
  start(status: number, headers: IncomingHttpHeaders): void;
  /**
   * Takes the text of one read and returns the deltas in it. A failure after the first of them makes the stream `done`,
   * and is thrown by `finish`. @throws ProviderError
   */
  feed(text: string): readonly StreamDelta[];
  /**
   * The events of the reads since the last time, as the provider wrote them; undefined when they are not relayed.
   * Empty until there was content.
   */
  takeNative?(): string | undefined;
  /** How many events with content came so far; keep-alives and empty events do not count. */
  readonly contentEvents: number;
  /** The terminal event came, or a failure. */
  readonly done: boolean;
  readonly seen: SeenSoFar;
  /** Called once, at the terminal event or the end of the response. @throws ProviderError when it ended too early. */
  finish(): StreamEnd;
}

export type StreamOutcome =
  | { readonly kind: "streamed"; readonly end: StreamEnd }
  /** The response was no stream: an error status, or a JSON or HTML body. */
  | { readonly kind: "buffered"; readonly response: BufferedResponse };

/**
 * Posts, and pushes the deltas of the response to the sink as they come: one batch per upstream read. While a
 * promise of the sink is open, nothing more is read from the provider.
 * @throws ProviderError
 */
export function postStreaming(
  transport: HttpTransport,
  request: PostRequest,
  reader: { readonly decoder: StreamDecoder; readonly sink: StreamSink },
): Promise<StreamOutcome> {
  return new Promise((resolve, reject) => {
    transport.post(request, (exchange) => new StreamCall(exchange, { ...reader, resolve, reject }));
  });
}

interface StreamCallOptions {
  readonly decoder: StreamDecoder;
  readonly sink: StreamSink;
  resolve(outcome: StreamOutcome): void;
  reject(error: ProviderError): void;
}

class StreamCall implements ResponseListener {
  readonly #exchange: Exchange;
  readonly #options: StreamCallOptions;
  /** Holds back the bytes of a character that was split between two reads. */
  readonly #toText: StringDecoder;
  /**
   * Runs the sink in the caller's async context. The events of a socket run in the context of whichever call opened
   * it, so that without this the spans and log lines of one caller would land in another's trace.
   */
  readonly #inCallerContext = AsyncLocalStorage.snapshot();
  #collector: BodyCollector | undefined;
  #responding = false;
  #text = "";
  #scheduled = false;
  #blocked = false;
  #ended = false;

  constructor(exchange: Exchange, options: StreamCallOptions) {
    this.#exchange = exchange;
    this.#options = options;
    this.#toText = new StringDecoder(options.decoder.encoding);
  }

  onHeaders(status: number, headers: IncomingHttpHeaders): void {
    if (isSuccess(status) && mayBeEventStream(headers["content-type"])) {
      this.#responding = true;
      this.#options.decoder.start(status, headers);
      return;
    }
    this.#collector = new BodyCollector(this.#exchange, {
      resolve: (response) => this.#options.resolve({ kind: "buffered", response }),
      reject: this.#options.reject,
    });
    this.#collector.onHeaders(status, headers);
  }

  onData(chunk: Buffer): void {
    if (this.#collector) {
      this.#collector.onData(chunk);
      return;
    }
    this.#text += this.#toText.write(chunk);
    this.#schedule();
  }

  onEnd(): void {
    if (this.#collector) {
      this.#collector.onEnd();
      return;
    }
    this.#ended = true;
    this.#schedule();
  }

  onFailure(failure: TransportFailure): void {
    if (this.#collector) {
      this.#collector.onFailure(failure);
      return;
    }
    const { decoder } = this.#options;
    try {
      // What was held back for a slow reader was still received, and may state the usage.
      decoder.feed(this.#text);
    } catch {
      // It broke in mid-event; the failure itself says more.
    }
    this.#options.reject(mapTransportFailure(failure, { seen: decoder.seen, streaming: this.#responding }));
  }

  /**
   * The parser hands over one HTTP chunk after another of the same read. The microtask runs when all of them are
   * here, so that a read costs one parse and one push, however many frames it brought.
   */
  #schedule(): void {
    if (this.#scheduled || this.#blocked) return;
    this.#scheduled = true;
    queueMicrotask(this.#pump);
  }

  readonly #pump = (): void => {
    this.#scheduled = false;
    if (this.#exchange.over) return;
    const { decoder, sink } = this.#options;
    const text = this.#text;
    this.#text = "";
    let deltas: readonly StreamDelta[];
    const contentEventsBefore = decoder.contentEvents;
    try {
      deltas = decoder.feed(text);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (decoder.contentEvents > contentEventsBefore) this.#exchange.progress();
    const native = decoder.takeNative?.();
    if (deltas.length > 0 || (native !== undefined && native !== "")) {
      let pushed: Promise<void> | undefined;
      try {
        pushed = this.#inCallerContext(sink, deltas, native);
      } catch (error) {
        this.#failForSink(error);
        return;
      }
      if (pushed !== undefined) {
        this.#blocked = true;
        this.#exchange.pause();
        pushed.then(this.#unblock, this.#failForSink);
        return;
      }
    }
    this.#settleIfOver();
  };

  readonly #unblock = (): void => {
    this.#blocked = false;
    if (this.#exchange.over) return;
    if (this.#text !== "") {
      this.#pump();
      if (this.#blocked) return;
    } else {
      this.#settleIfOver();
    }
    if (!this.#ended) this.#exchange.resume();
  };

  #settleIfOver(): void {
    const { decoder, resolve } = this.#options;
    if (!decoder.done && !this.#ended) return;
    try {
      const end = decoder.finish();
      this.#exchange.release();
      resolve({ kind: "streamed", end });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Programmer errors pass through as they are. */
  #fail(error: unknown): void {
    this.#exchange.abort();
    this.#options.reject(error as ProviderError);
  }

  /** Whoever takes the deltas cannot go on: the provider is not asked for more. */
  readonly #failForSink = (error: unknown): void => {
    if (this.#exchange.over) return;
    this.#fail(mapAbort(error, { ...this.#options.decoder.seen, billing: "maybe_billed" }));
  };
}

/** Lenient: anything but the types that error pages and unary answers have. */
function mayBeEventStream(contentType: string | undefined): boolean {
  return contentType === undefined || !/^\s*(application\/(problem\+)?json|text\/html)\b/i.test(contentType);
}
