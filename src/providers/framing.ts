import type { JsonObject } from "./read-json.ts";

/** What a framing tells of a stream. Whatever it throws goes to the caller of `feed`. */
export interface FramingHandler {
  /** One event: its name, if it has one, and its data. */
  onEvent(name: string | undefined, data: string): void;
  /** An event that is an error by its framing; `body` is what it says. */
  onError(body: JsonObject): never;
  /** What cannot be an event. `detail` is for the log. */
  onGarbage(detail: string): never;
}

/** Cuts the text of a stream into events. One per stream. */
export interface Framing {
  /** Takes the text of one read. */
  feed(text: string): void;
  /** The response has ended: an event that lacks nothing but its end is told. */
  end(): void;
}

export interface FramingKind {
  /** How the bytes of the stream are handed over as text; `latin1` keeps every byte. */
  readonly encoding: "utf8" | "latin1";
  create(handler: FramingHandler): Framing;
}

/** Longest line and longest event of a stream, in characters or bytes. */
export const MAX_EVENT_LENGTH = 1024 * 1024;
