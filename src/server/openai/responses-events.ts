import type { StreamDelta } from "../../core/completion.ts";
import type { StreamResult } from "../../core/gateway.ts";
import {
  beginResponse,
  endResponse,
  itemId,
  messageItem,
  type ResponseFrame,
  reasoningItem,
  textContent,
  toolItem,
} from "./responses-answer.ts";

interface OpenItem {
  readonly kind: StreamDelta["kind"];
  readonly id: string;
  readonly outputIndex: number;
  readonly call: { readonly id: string; readonly name: string };
  text: string;
}

/** Writes the events of a response that is told again, from its deltas. */
export class ResponseEvents {
  readonly #frame: ResponseFrame;
  readonly #begun: ReturnType<typeof beginResponse>;
  readonly #output: object[] = [];
  /** The message or the reasoning that is being written. */
  #speech: OpenItem | undefined;
  /** By the index of the call; several may be written at once. */
  readonly #tools = new Map<number, OpenItem>();
  #items = 0;
  #sequenceNumber = 0;

  constructor(model: string, frame: ResponseFrame) {
    this.#frame = frame;
    this.#begun = beginResponse(model, frame);
  }

  deltas(deltas: readonly StreamDelta[]): string {
    let events = this.#begin();
    for (const delta of deltas) {
      events += delta.kind === "tool_call" ? this.#tool(delta) : this.#speak(delta.kind, delta.text);
    }
    return events;
  }

  /** What is left, and the event that ends the response. */
  finish({ finishReasons, attempts }: StreamResult) {
    let rest = this.#begin() + this.#endSpeech();
    for (const tool of this.#tools.values()) rest += this.#endTool(tool);
    const finishReason = finishReasons[0]?.finishReason;
    const response = endResponse(this.#begun, { output: this.#output, finishReason, attempts });
    const lastEvent = `response.${response.status}`;
    return { rest, lastEvent, lastJson: this.#json(lastEvent, { response }) };
  }

  #begin(): string {
    if (this.#sequenceNumber > 0) return "";
    const response = this.#begun;
    return this.#event("response.created", { response }) + this.#event("response.in_progress", { response });
  }

  #speak(kind: "text" | "reasoning", text: string): string {
    const opening = this.#speech?.kind === kind ? "" : this.#endSpeech() + this.#openSpeech(kind);
    const item = this.#speech;
    if (!item) return opening;
    item.text += text;
    const type = kind === "text" ? "response.output_text.delta" : "response.reasoning_summary_text.delta";
    return (
      opening + this.#event(type, { ...placeOf(item), delta: text, ...(kind === "text" && { logprobs: [] }) })
    );
  }

  #openSpeech(kind: "text" | "reasoning"): string {
    const item = this.#open(kind, { id: "", name: "" });
    this.#speech = item;
    const { id, outputIndex } = item;
    if (kind === "text") {
      const empty = { ...messageItem(id, "in_progress"), content: [] };
      return (
        this.#event("response.output_item.added", { output_index: outputIndex, item: empty }) +
        this.#event("response.content_part.added", { ...placeOf(item), part: textContent("") })
      );
    }
    return (
      this.#event("response.output_item.added", {
        output_index: outputIndex,
        item: reasoningItem(id, undefined),
      }) +
      this.#event("response.reasoning_summary_part.added", {
        ...placeOf(item),
        part: { type: "summary_text", text: "" },
      })
    );
  }

  #endSpeech(): string {
    const item = this.#speech;
    if (!item) return "";
    this.#speech = undefined;
    const { kind, id, text } = item;
    if (kind === "text") {
      const part = textContent(text);
      return (
        this.#event("response.output_text.done", { ...placeOf(item), text, logprobs: [] }) +
        this.#event("response.content_part.done", { ...placeOf(item), part }) +
        this.#done(item, { ...messageItem(id, "completed"), content: [part] })
      );
    }
    return (
      this.#event("response.reasoning_summary_text.done", { ...placeOf(item), text }) +
      this.#event("response.reasoning_summary_part.done", {
        ...placeOf(item),
        part: { type: "summary_text", text },
      }) +
      this.#done(item, reasoningItem(id, text))
    );
  }

  #tool({
    toolIndex,
    id,
    name,
    argumentsDelta,
  }: Extract<StreamDelta, { readonly kind: "tool_call" }>): string {
    let events = "";
    let item = this.#tools.get(toolIndex);
    if (!item) {
      events += this.#endSpeech();
      item = this.#open("tool_call", { id: id ?? "", name: name ?? "" });
      this.#tools.set(toolIndex, item);
      const begun = { ...this.#toolItem(item), status: "in_progress" };
      events += this.#event("response.output_item.added", { output_index: item.outputIndex, item: begun });
    }
    if (argumentsDelta === "") return events;
    item.text += argumentsDelta;
    return (
      events +
      this.#event(`response.${this.#argumentsName(item)}.delta`, { ...itemOf(item), delta: argumentsDelta })
    );
  }

  #endTool(item: OpenItem): string {
    const name = this.#argumentsName(item);
    const text = name === "custom_tool_call_input" ? { input: item.text } : { arguments: item.text };
    return (
      this.#event(`response.${name}.done`, { ...itemOf(item), ...text }) +
      this.#done(item, this.#toolItem(item))
    );
  }

  #argumentsName({ call }: OpenItem): "custom_tool_call_input" | "function_call_arguments" {
    const isCustom = this.#frame.request.customTools.has(call.name);
    return isCustom ? "custom_tool_call_input" : "function_call_arguments";
  }

  #toolItem({ id, call, text }: OpenItem) {
    return toolItem(id, { ...call, argumentsJson: text }, this.#frame.request);
  }

  #open(kind: OpenItem["kind"], call: OpenItem["call"]): OpenItem {
    const outputIndex = this.#items;
    this.#items += 1;
    return { kind, id: itemId(this.#frame.requestId, outputIndex), outputIndex, call, text: "" };
  }

  #done({ outputIndex }: OpenItem, item: object): string {
    this.#output[outputIndex] = item;
    return this.#event("response.output_item.done", { output_index: outputIndex, item });
  }

  #event(type: string, members: object): string {
    return `event: ${type}\ndata: ${this.#json(type, members)}\n\n`;
  }

  #json(type: string, members: object): string {
    const json = JSON.stringify({ type, ...members, sequence_number: this.#sequenceNumber });
    this.#sequenceNumber += 1;
    return json;
  }
}

const itemOf = ({ id, outputIndex }: OpenItem) => ({ item_id: id, output_index: outputIndex });

/** Of the one part that a message or a reasoning has here. */
function placeOf(item: OpenItem) {
  return { ...itemOf(item), [item.kind === "text" ? "content_index" : "summary_index"]: 0 };
}
