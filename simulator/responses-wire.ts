import { openaiWire } from "./openai-wire.ts";
import type { Plan } from "./plan.ts";
import { parseResponsesRequest } from "./responses-request.ts";
import type { Step, StreamWriter, Wire } from "./wire.ts";

interface Item {
  readonly id: string;
  readonly type: "message" | "reasoning" | "function_call";
}

const INCOMPLETE: ReadonlyMap<string, string> = new Map([
  ["length", "max_output_tokens"],
  ["content_filter", "content_filter"],
]);

function textPart(text: string): object {
  return { type: "output_text", annotations: [], logprobs: [], text };
}

function messageItem(plan: Plan, text: string | undefined): Item {
  const content = text === undefined ? [] : [textPart(text)];
  const status = text === undefined ? "in_progress" : "completed";
  return { id: `msg_${plan.callId}`, type: "message", status, role: "assistant", content } as Item;
}

function reasoningItem(plan: Plan, text: string | undefined): Item {
  const summary = text === undefined ? [] : [{ type: "summary_text", text }];
  return { id: `rs_${plan.callId}`, type: "reasoning", summary } as Item;
}

function callItem(call: { readonly id: string; readonly name: string }, args: string | undefined): Item {
  const status = args === undefined ? "in_progress" : "completed";
  const { id, name } = call;
  return { id: `fc_${id}`, type: "function_call", status, call_id: id, name, arguments: args ?? "" } as Item;
}

function outputOf(plan: Plan): readonly Item[] {
  const items: Item[] = [];
  if (plan.reasoning.length > 0) items.push(reasoningItem(plan, plan.reasoning.join("")));
  if (plan.content.length > 0) items.push(messageItem(plan, plan.content.join("")));
  for (const call of plan.toolCalls) items.push(callItem(call, call.argumentPieces.join("")));
  return items;
}

/** The response at its end, or in progress: then without output and usage. */
function responseJson(plan: Plan, createdAt: number, output: readonly Item[] | undefined): string {
  const reason = output && INCOMPLETE.get(plan.finishReason);
  const status = output === undefined ? "in_progress" : reason === undefined ? "completed" : "incomplete";
  const response = {
    id: `resp_${plan.callId}`,
    object: "response",
    created_at: Math.floor(createdAt / 1000),
    status,
    error: null,
    incomplete_details: reason === undefined ? null : { reason },
    instructions: null,
    metadata: {},
    model: plan.model,
    output: output ?? [],
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: "auto",
    tools: [],
    top_p: 1,
  };
  const usage = output === undefined ? "null" : plan.usageJson;
  return `${JSON.stringify(response).slice(0, -1)}${usage === undefined ? "" : `,"usage":${usage}`}}`;
}

function renderUnary(plan: Plan, createdAt: number, { emptyChoices = false, extra = "" } = {}): string {
  const json = responseJson(plan, createdAt, emptyChoices ? [] : outputOf(plan));
  return extra === "" ? json : `${json.slice(0, -1)},${extra}}`;
}

/** Opens and closes the items that the steps belong to. */
class ResponseWriter implements StreamWriter {
  readonly #plan: Plan;
  readonly #createdAt: number;
  #sequenceNumber = 0;
  #open: Item | undefined;
  #call: { readonly id: string; readonly name: string } = { id: "", name: "" };
  #outputIndex = -1;
  #text = "";

  constructor(plan: Plan, createdAt: number) {
    this.#plan = plan;
    this.#createdAt = createdAt;
  }

  begin(): string {
    const response = responseJson(this.#plan, this.#createdAt, undefined);
    return (
      this.#event("response.created", `"response":${response}`) +
      this.#event("response.in_progress", `"response":${response}`)
    );
  }

  step(step: Step): string {
    switch (step.kind) {
      case "reasoning":
        return this.#speak(reasoningItem(this.#plan, undefined), step.text);
      case "text":
        return this.#speak(messageItem(this.#plan, undefined), step.text);
      case "tool_open": {
        const closing = this.finish();
        this.#call = step;
        return closing + this.#enter(callItem(step, undefined));
      }
      case "tool_arguments":
        this.#text += step.text;
        return this.#event("response.function_call_arguments.delta", this.#place({ delta: step.text }));
      default:
        return step satisfies never;
    }
  }

  withoutChoices(): string {
    return this.#event(
      "response.queued",
      `"response":${responseJson(this.#plan, this.#createdAt, undefined)}`,
    );
  }

  huge(bytes: number): string {
    return this.#event("keepalive", `"padding":"${"x".repeat(bytes)}"`);
  }

  /** Closes what is open. */
  finish(): string {
    const item = this.#open;
    if (item === undefined) return "";
    this.#open = undefined;
    const text = this.#text;
    switch (item.type) {
      case "message":
        return (
          this.#event(
            "response.output_text.done",
            this.#placeOf(item, { content_index: 0, text, logprobs: [] }),
          ) +
          this.#event(
            "response.content_part.done",
            this.#placeOf(item, { content_index: 0, part: textPart(text) }),
          ) +
          this.#done(messageItem(this.#plan, text))
        );
      case "reasoning": {
        const part = { type: "summary_text", text };
        return (
          this.#event(
            "response.reasoning_summary_text.done",
            this.#placeOf(item, { summary_index: 0, text }),
          ) +
          this.#event(
            "response.reasoning_summary_part.done",
            this.#placeOf(item, { summary_index: 0, part }),
          ) +
          this.#done(reasoningItem(this.#plan, text))
        );
      }
      case "function_call":
        return (
          this.#event("response.function_call_arguments.done", this.#placeOf(item, { arguments: text })) +
          this.#done(callItem(this.#call, text))
        );
      default:
        return item.type satisfies never;
    }
  }

  /** Without its last event the stream is cut: there is no other one that says that it has ended. */
  end({ done = true } = {}): string {
    if (!done) return "";
    const type = INCOMPLETE.has(this.#plan.finishReason) ? "response.incomplete" : "response.completed";
    return this.#event(type, `"response":${responseJson(this.#plan, this.#createdAt, outputOf(this.#plan))}`);
  }

  #speak(item: Item, text: string): string {
    const isMessage = item.type === "message";
    let events = "";
    if (this.#open?.type !== item.type) {
      events = this.finish() + this.#enter(item);
      events += isMessage
        ? this.#event("response.content_part.added", this.#place({ content_index: 0, part: textPart("") }))
        : this.#event(
            "response.reasoning_summary_part.added",
            this.#place({ summary_index: 0, part: { type: "summary_text", text: "" } }),
          );
    }
    this.#text += text;
    return (
      events +
      (isMessage
        ? this.#event(
            "response.output_text.delta",
            this.#place({ content_index: 0, delta: text, logprobs: [] }),
          )
        : this.#event(
            "response.reasoning_summary_text.delta",
            this.#place({ summary_index: 0, delta: text }),
          ))
    );
  }

  #enter(item: Item): string {
    this.#open = item;
    this.#outputIndex += 1;
    this.#text = "";
    return this.#event(
      "response.output_item.added",
      `"output_index":${this.#outputIndex},"item":${JSON.stringify(item)}`,
    );
  }

  #done(item: Item): string {
    return this.#event(
      "response.output_item.done",
      `"output_index":${this.#outputIndex},"item":${JSON.stringify(item)}`,
    );
  }

  #place(members: object): string {
    return this.#open ? this.#placeOf(this.#open, members) : "";
  }

  #placeOf({ id }: Item, members: object): string {
    return JSON.stringify({ item_id: id, output_index: this.#outputIndex, ...members }).slice(1, -1);
  }

  #event(type: string, members: string): string {
    const sequenceNumber = this.#sequenceNumber;
    this.#sequenceNumber += 1;
    return `event: ${type}\ndata: {"type":"${type}","sequence_number":${sequenceNumber},${members}}\n\n`;
  }
}

/** OpenAI's Responses API. It keeps nothing, and runs no tools of its own. */
export const responsesWire: Wire = {
  ...openaiWire,
  parseRequest: parseResponsesRequest,
  renderUnary,
  createWriter: (plan, createdAt) => new ResponseWriter(plan, createdAt),
  errorEvent: (body) => `event: error\ndata: {"type":"error",${body.slice(1)}\n\n`,
};
