import type { StreamDelta } from "../core/completion.ts";
import type { ReceivedOutput } from "../core/provider-error.ts";
import { MAX_COUNTED_CHARACTERS } from "../pricing/usage-estimator.ts";

/** Parts that are kept apart before they become one string; each has an overhead of its own. */
const MAX_PARTS = 64;

/** What an attempt has received of its output: how much, and as much of the text as is ever counted. */
export class ReceivedText {
  #parts: string[] = [];
  #characters = 0;
  #outputBytes = 0;
  #deltas = 0;

  addDeltas(deltas: readonly StreamDelta[]): void {
    this.#deltas += deltas.length;
    for (const delta of deltas) {
      if (delta.kind === "tool_call") {
        if (delta.name !== undefined) this.add(delta.name);
        this.add(delta.argumentsDelta);
      } else this.add(delta.text);
    }
  }

  add(text: string): void {
    this.#outputBytes += Buffer.byteLength(text);
    const left = MAX_COUNTED_CHARACTERS - this.#characters;
    if (left <= 0 || text === "") return;
    this.#parts.push(text.length > left ? text.slice(0, left) : text);
    this.#characters += text.length;
    if (this.#parts.length >= MAX_PARTS) this.#parts = [this.text];
  }

  get received(): ReceivedOutput {
    return { outputBytes: this.#outputBytes, deltas: this.#deltas };
  }

  /** The first `MAX_COUNTED_CHARACTERS`. */
  get text(): string {
    return this.#parts.join("");
  }
}
