import { createParser, type EventSourceParser, type ParseError } from "eventsource-parser";
import { type Framing, type FramingHandler, type FramingKind, MAX_EVENT_LENGTH } from "./framing.ts";

/** A line of an event stream begins with a field name, a colon, or is empty; anything else is garbage. */
const FIELD_START = /^[deir:\r\uFEFF]/;

/** Server-sent events of at most so many characters. */
export function createSseFraming(maxEventLength: number): FramingKind {
  return { encoding: "utf8", create: (handler) => new SseFraming(handler, maxEventLength) };
}

/** Server-sent events. */
export const sseFraming: FramingKind = createSseFraming(MAX_EVENT_LENGTH);

class SseFraming implements Framing {
  readonly #handler: FramingHandler;
  readonly #maxEventLength: number;
  readonly #parser: EventSourceParser;
  #atLineStart = true;

  constructor(handler: FramingHandler, maxEventLength: number) {
    this.#handler = handler;
    this.#maxEventLength = maxEventLength;
    this.#parser = createParser({
      maxBufferSize: maxEventLength,
      onEvent: ({ event, data }) => handler.onEvent(event, data),
      onError: (error) => this.#onParseError(error),
    });
  }

  feed(text: string): void {
    this.#refuseGarbageStart(text);
    this.#parser.feed(text);
  }

  /** The last event counts even if the blank line after it is missing. */
  end(): void {
    this.#parser.feed("\n\n");
  }

  /** The parser drops a partial line that is no field without a word; a lost delta would go unnoticed. */
  #refuseGarbageStart(text: string): void {
    const lastLineStart = text.lastIndexOf("\n") + 1;
    const startsLine = lastLineStart > 0 || this.#atLineStart;
    this.#atLineStart = lastLineStart === text.length;
    if (startsLine && lastLineStart < text.length && !FIELD_START.test(text.charAt(lastLineStart))) {
      this.#handler.onGarbage("a line of the stream that is no event");
    }
  }

  #onParseError(error: ParseError): void {
    if (error.type === "invalid-retry") return;
    this.#handler.onGarbage(
      error.type === "max-buffer-size-exceeded"
        ? `an event longer than ${this.#maxEventLength} characters`
        : "a line of the stream that is no event",
    );
  }
}
