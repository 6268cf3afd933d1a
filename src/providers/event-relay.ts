import type { NativeStreamEnd } from "../core/completion.ts";

/** Whether the provider's own text is passed on: then its reader, not the gateway, must know every finish reason. */
export interface Relaying {
  readonly relayed: boolean;
}

export const NOT_RELAYED: Relaying = { relayed: false };

/** The events of one stream as the provider wrote them, until they are taken; the usage waits for the end. */
export class EventRelay {
  #text = "";
  #usageJson: string | undefined;
  #usageEvent: string | undefined;

  /** `data` is the JSON text of an event; `name` what its framing calls it. */
  add(name: string | undefined, data: string): void {
    if (name !== undefined) this.#text += `event: ${name}\n`;
    this.#text += `data: ${data.includes("\n") ? data.replaceAll("\n", "\ndata: ") : data}\n\n`;
  }

  /** Characters that wait to be taken. */
  get length(): number {
    return this.#text.length;
  }

  /** An event that holds nothing but the usage: it waits for the end, where what the call cost is known. */
  addUsage(data: string, name: string | undefined): void {
    this.#usageJson = data;
    this.#usageEvent = name;
  }

  /** The events since it was called last. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  end(): NativeStreamEnd {
    return { tail: this.take(), usageJson: this.#usageJson, usageEvent: this.#usageEvent };
  }
}
