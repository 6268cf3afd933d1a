import { type JsonObject, parseJson, readObject } from "./read-json.ts";

/** A member of an object within an event. */
export interface TextPlace {
  readonly holder: JsonObject;
  readonly name: string;
}

/**
 * Finds the texts by which the events of a dialect differ, in the order in which they are written: what the event is
 * sent for, and what a provider adds to hide its length. Empty for an event that is of another kind.
 */
export type FindTexts = (event: JsonObject) => readonly TextPlace[];

/** A provider whose events differ in more than their texts is parsed as ever from then on. */
const MAX_TEMPLATES = 3;

/** What cannot stand unescaped in a JSON string, and what escapes; the quote ends it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what JSON forbids
const NOT_PLAIN = /[\\\u0000-\u001f]/;

/** Outside a string neither is JSON, and no text of an event is both. */
const PROBES = ["a", "b"] as const;

/** An event, with holes where its texts were. */
interface Template {
  /** The JSON before, between and after the texts, their quotes included. */
  readonly pieces: readonly string[];
  readonly event: JsonObject;
  readonly places: readonly TextPlace[];
  /** Room for the texts of one event. */
  readonly texts: string[];
}

/**
 * Parses the events of one stream. They are mostly the same JSON with other texts in it; such an event is the parsed
 * template of the one before with its texts put in, for a fifth of the time of `JSON.parse`. What it gives is what
 * `JSON.parse` would give, always: anything else than plain texts between the same pieces is parsed.
 */
export class EventParser {
  readonly #findTexts: FindTexts | undefined;
  #template: Template | undefined;
  #templatesLeft = MAX_TEMPLATES;

  constructor(findTexts: FindTexts | undefined) {
    this.#findTexts = findTexts;
  }

  /** The event, which is only good until the next one is parsed; undefined for what is no JSON object. */
  parse(data: string): JsonObject | undefined {
    const filled = this.#template && fill(this.#template, data);
    if (filled) return filled;
    const event = readObject(parseJson(data));
    if (event && this.#findTexts && this.#templatesLeft > 0) this.#learn(event, data, this.#findTexts);
    return event;
  }

  #learn(event: JsonObject, data: string, findTexts: FindTexts): void {
    const texts = findTexts(event).map(({ holder, name }) => holder[name]);
    if (texts.length === 0) return;
    this.#templatesLeft -= 1;
    this.#template = makeTemplate(data, texts, findTexts);
  }
}

/** From this length on V8 makes a part of a string refer to the whole, which is all that was read at once. */
const MIN_SLICE_LENGTH = 13;

/** A string that keeps no other one in memory. */
const copyOf = (text: string): string => String(JSON.parse(JSON.stringify(text)));

function fill({ pieces, event, places, texts }: Template, data: string): JsonObject | undefined {
  let at = 0;
  for (let index = 0; index < pieces.length; index++) {
    const piece = pieces[index] ?? "";
    if (index > 0) {
      const end = data.indexOf('"', at);
      const text = data.slice(at, end);
      if (end < 0 || NOT_PLAIN.test(text)) return undefined;
      texts[index - 1] = text.length < MIN_SLICE_LENGTH ? text : copyOf(text);
      at = end;
    }
    // Equality of strings takes a fifth of the time of `startsWith`, which compares one character after the other.
    if (data.slice(at, at + piece.length) !== piece) return undefined;
    at += piece.length;
  }
  if (at !== data.length) return undefined;
  for (let index = 0; index < places.length; index++) {
    const place = places[index];
    // The template's own objects, which nobody keeps.
    if (place) (place.holder as Record<string, unknown>)[place.name] = texts[index];
  }
  return event;
}

/**
 * Where a text seems to stand may be within something else. The probes only become the event's texts if what is
 * between the pieces is the whole of those strings, and of no others: outside a string they are no JSON, and in
 * another string, or in a name, they leave the texts what they are.
 */
function makeTemplate(data: string, texts: readonly unknown[], findTexts: FindTexts): Template | undefined {
  const pieces = cut(data, texts);
  let template: Template | undefined;
  for (const probe of PROBES) {
    const probed = pieces?.map((piece, index) => (index === 0 ? piece : `${probe}${index}${piece}`)).join("");
    const event = probed === undefined ? undefined : readObject(parseJson(probed));
    if (!pieces || !event) return undefined;
    const places = findTexts(event);
    const found = places.map(({ holder, name }) => holder[name]);
    if (found.length !== texts.length || found.some((text, index) => text !== `${probe}${index + 1}`))
      return undefined;
    template = { pieces, event, places, texts: [] };
  }
  return template;
}

/** The JSON around the texts, cut at the last places that look like them; undefined when it is not written so. */
function cut(data: string, texts: readonly unknown[]): readonly string[] | undefined {
  const pieces: string[] = [];
  let end = data.length;
  for (const text of texts.toReversed()) {
    if (typeof text !== "string" || text === "") return undefined;
    const quoted = JSON.stringify(text);
    const start = data.lastIndexOf(quoted, end - quoted.length);
    if (start < 0) return undefined;
    pieces.unshift(data.slice(start + quoted.length - 1, end));
    end = start + 1;
  }
  return [data.slice(0, end), ...pieces].map(copyOf);
}
