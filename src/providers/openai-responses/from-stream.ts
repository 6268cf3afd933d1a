import type { EventEffect } from "../event-stream-decoder.ts";
import { usageShowsTools } from "../hosted-tools.ts";
import { mapErrorBody } from "../http-error.ts";
import { type JsonObject, readObject, readText } from "../read-json.ts";
import type { StreamProgress } from "../stream-progress.ts";
import { type ResponsesContext, readBill } from "./from-response.ts";
import { isHostedTool, readFinishReason, readOutput, readToolCall } from "./read-output.ts";

/** Reads the events of one stream. @throws ProviderError for an event that says that it failed */
export function createResponsesReader(
  progress: StreamProgress,
  context: ResponsesContext,
): (event: JsonObject) => EventEffect {
  const reader = new ResponsesReader(progress, context);
  return (event) => reader.read(event);
}

/** A response is one choice. */
const CHOICE = 0;

class ResponsesReader {
  readonly #progress: StreamProgress;
  readonly #context: ResponsesContext;
  /** The calls of tools that have begun, by the id and by the index of their item. */
  readonly #toolIndexes = new Map<unknown, number>();
  #toolCalls = 0;

  constructor(progress: StreamProgress, context: ResponsesContext) {
    this.#progress = progress;
    this.#context = context;
  }

  /** What the gateway does not know is content, unless it is none of the response's: keep-alives must feed no limit. */
  read(event: JsonObject): EventEffect {
    const { type } = event;
    if (type === "error") throw this.#errorOf(event);
    if (typeof type !== "string" || !type.startsWith("response.")) return "nothing";
    this.#progress.begin(CHOICE);
    switch (type) {
      case "response.created":
      case "response.queued":
      case "response.in_progress":
        this.#readModel(event);
        return "nothing";
      case "response.content_part.added":
      case "response.reasoning_summary_part.added":
        return "nothing";
      case "response.output_item.added":
        return this.#beginItem(event);
      case "response.output_text.delta":
      // A refusal is what the model says to the user; a stream has no other place for it.
      case "response.refusal.delta":
        return this.#pushText("text", event.delta);
      case "response.reasoning_text.delta":
      case "response.reasoning_summary_text.delta":
        return this.#pushText("reasoning", event.delta);
      case "response.function_call_arguments.delta":
      case "response.custom_tool_call_input.delta":
        return this.#pushArguments(event);
      case "response.failed":
        throw this.#failureOf(event);
      case "response.completed":
      case "response.incomplete":
        this.#finish(event);
        return "end";
      default:
        return "content";
    }
  }

  #readModel(event: JsonObject): JsonObject {
    const response = readObject(event.response) ?? {};
    this.#progress.responseModel ??= readText(response.model);
    return response;
  }

  /** An item that is still empty brings nothing; a tool that the provider runs is at work from here on. */
  #beginItem({ item, output_index: outputIndex }: JsonObject): EventEffect {
    const begun = readObject(item) ?? {};
    const call = readToolCall(begun);
    if (call) {
      this.#toolIndexes.set(outputIndex, this.#toolCalls);
      if (typeof begun.id === "string") this.#toolIndexes.set(begun.id, this.#toolCalls);
      this.#pushCall(call);
      return "content";
    }
    if (!isHostedTool(begun)) return "nothing";
    this.#progress.separatelyBilledTools = true;
    return "content";
  }

  #pushText(kind: "text" | "reasoning", delta: unknown): EventEffect {
    const text = readText(delta);
    if (text === undefined) return "nothing";
    this.#progress.push({ kind, choiceIndex: CHOICE, text }, text);
    return "content";
  }

  #pushCall({ id, name, argumentsJson }: NonNullable<ReturnType<typeof readToolCall>>): void {
    const toolIndex = this.#toolCalls;
    this.#toolCalls += 1;
    const delta = { kind: "tool_call", choiceIndex: CHOICE, toolIndex, id, name } as const;
    this.#progress.push({ ...delta, argumentsDelta: argumentsJson }, argumentsJson);
  }

  #pushArguments({ item_id: itemId, output_index: outputIndex, delta }: JsonObject): EventEffect {
    const argumentsDelta = readText(delta);
    const toolIndex = this.#toolIndexes.get(itemId) ?? this.#toolIndexes.get(outputIndex);
    if (argumentsDelta === undefined || toolIndex === undefined) return "nothing";
    const call = {
      kind: "tool_call",
      choiceIndex: CHOICE,
      toolIndex,
      id: undefined,
      name: undefined,
    } as const;
    this.#progress.push({ ...call, argumentsDelta }, argumentsDelta);
    return "content";
  }

  #finish(event: JsonObject): void {
    const progress = this.#progress;
    const response = this.#readModel(event);
    const { parts, hostedTools } = readOutput(response.output);
    if (hostedTools) progress.separatelyBilledTools = true;
    // An answer that was not streamed piece by piece.
    if (progress.deltas === 0) {
      for (const part of parts) {
        if (part.kind === "tool_call") this.#pushCall(part);
        else if (part.kind === "reasoning") this.#pushText("reasoning", part.text);
        else if (part.kind === "text" || part.kind === "refusal") this.#pushText("text", part.text);
      }
    }
    this.#readBill(response);
    const status = event.type === "response.incomplete" ? "incomplete" : response.status;
    const finishReason = readFinishReason({ ...response, status }, this.#toolCalls > 0);
    progress.finishReasons.set(CHOICE, finishReason);
  }

  #readBill(response: JsonObject): void {
    const { usage, providerCostPicoUsd } = readBill(response, this.#context.profile);
    this.#progress.stateUsage(usage);
    if (usageShowsTools(response.usage)) this.#progress.separatelyBilledTools = true;
    this.#progress.providerCostPicoUsd = providerCostPicoUsd;
  }

  #failureOf(event: JsonObject) {
    const response = this.#readModel(event);
    this.#readBill(response);
    return this.#errorOf({ ...response, error: readObject(response.error) ?? {} });
  }

  #errorOf(body: JsonObject) {
    return mapErrorBody(body, { rules: this.#context.errors, seen: this.#progress.seen });
  }
}
