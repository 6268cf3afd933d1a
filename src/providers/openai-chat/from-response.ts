import type { Choice, MessagePart, ProviderAnswer } from "../../core/completion.ts";
import { ProviderError } from "../../core/provider-error.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import { badResponse, type SeenSoFar } from "../map-error.ts";
import { type JsonObject, parseJson, readArray, readObject, readText } from "../read-json.ts";
import { type ErrorContext, mapErrorBody } from "./map-error.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";
import type { OpenAiChatProfile } from "./profile.ts";
import { readRequestId } from "./read-headers.ts";

/** Whether the provider's own text is passed on: then its reader, not the gateway, must know every finish reason. */
export interface Relaying {
  readonly relayed: boolean;
}

export const NOT_RELAYED: Relaying = { relayed: false };

/**
 * The answer in a 2xx response. The usage is read first, so that every error after it carries it.
 * @throws ProviderError PROVIDER_BAD_RESPONSE when it is no whole answer, or what an error object in it means.
 */
export function fromChatResponse(
  response: BufferedResponse,
  context: ErrorContext,
  { relayed }: Relaying = NOT_RELAYED,
): ProviderAnswer {
  const providerRequestId = readRequestId(response.headers, context.profile.requestIdHeaders);
  const body = readObject(parseJson(response.body));
  const usage = mapUsage(body?.usage, context.profile);
  const seen: SeenSoFar = { usage, providerStatus: response.status, providerRequestId };
  if (body === undefined) throw badResponse(describeBody(response.body), seen);
  if (body.error !== undefined && body.error !== null) throw mapErrorBody(body, { ...context, seen });
  const wireChoices = readArray(body.choices);
  if (wireChoices.length === 0) throw badResponse("no choices", seen);
  const choices = wireChoices.map((choice, position) => {
    return fromWireChoice(readObject(choice), { position, seen, profile: context.profile, relayed });
  });
  let outputBytes = 0;
  for (const choice of choices)
    for (const part of choice.message.parts) outputBytes += countOutputBytes(part);
  return { choices, responseModel: readText(body.model), usage, providerRequestId, outputBytes };
}

interface ChoiceContext extends Relaying {
  readonly position: number;
  readonly seen: SeenSoFar;
  readonly profile: OpenAiChatProfile;
}

function fromWireChoice(choice: JsonObject | undefined, context: ChoiceContext): Choice {
  const { seen, position } = context;
  const message = readObject(choice?.message);
  if (choice === undefined || message === undefined) throw badResponse("a choice without a message", seen);
  const wireFinishReason = choice.finish_reason;
  if (typeof wireFinishReason !== "string") throw badResponse("a choice without a finish reason", seen);
  const finishReason = mapFinishReason(wireFinishReason, context.profile);
  if (finishReason === undefined && !context.relayed) {
    throw badResponse(`unknown finish reason ${JSON.stringify(wireFinishReason.slice(0, 40))}`, seen);
  }
  if (typeof finishReason === "object") {
    throw new ProviderError(finishReason.failure, "the provider gave up on the answer", {
      ...seen,
      billing: "maybe_billed",
      cause: wireFinishReason,
    });
  }
  const { index } = choice;
  return {
    index: typeof index === "number" && Number.isSafeInteger(index) && index >= 0 ? index : position,
    message: { role: "assistant", name: undefined, parts: readParts(message) },
    finishReason: finishReason ?? "stop",
  };
}

function readParts(message: JsonObject): readonly MessagePart[] {
  const parts: MessagePart[] = [];
  const reasoning = readText(message.reasoning_content) ?? readText(message.reasoning);
  if (reasoning !== undefined) parts.push({ kind: "reasoning", text: reasoning });
  const text = readContent(message.content);
  if (text !== undefined) parts.push({ kind: "text", text });
  const refusal = readText(message.refusal);
  if (refusal !== undefined) parts.push({ kind: "refusal", text: refusal });
  for (const wireCall of readArray(message.tool_calls)) {
    const call = readObject(wireCall);
    const target = readObject(call?.function);
    if (call === undefined || target === undefined) continue;
    parts.push({
      kind: "tool_call",
      id: readText(call.id) ?? "",
      name: readText(target.name) ?? "",
      argumentsJson: readArguments(target.arguments) ?? "",
    });
  }
  return parts;
}

/** A string, or with some partners of HuggingFace an array of text parts. */
export function readContent(content: unknown): string | undefined {
  if (!Array.isArray(content)) return readText(content);
  const text = content.map((part) => readText(readObject(part)?.text) ?? "").join("");
  return text === "" ? undefined : text;
}

/** JSON text, or with some partners the object itself. */
export function readArguments(value: unknown): string | undefined {
  return readObject(value) ? JSON.stringify(value) : readText(value);
}

function countOutputBytes(part: MessagePart): number {
  switch (part.kind) {
    case "text":
    case "reasoning":
    case "refusal":
      return Buffer.byteLength(part.text);
    case "tool_call":
      return Buffer.byteLength(part.argumentsJson);
    default:
      return 0;
  }
}

function describeBody(body: string): string {
  return body.trim() === "" ? "an empty body" : `no JSON object, ${body.length} characters`;
}
