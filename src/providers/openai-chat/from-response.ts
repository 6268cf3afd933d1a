import type { Choice, MessagePart, ProviderAnswer } from "../../core/completion.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import { NOT_RELAYED, type Relaying } from "../event-relay.ts";
import { finishFailed, unknownFinishReason } from "../finish-failure.ts";
import { messageShowsTools, usageShowsTools } from "../hosted-tools.ts";
import { type ErrorRules, mapErrorBody } from "../http-error.ts";
import { badResponse, type SeenSoFar } from "../map-error.ts";
import { countOutputBytes } from "../output-bytes.ts";
import { readRequestId } from "../read-headers.ts";
import { describeBody, type JsonObject, parseJson, readArray, readObject, readText } from "../read-json.ts";
import { parseStatedCost } from "../stated-cost.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";
import type { OpenAiChatProfile } from "./profile.ts";

/** What reading an answer needs to know of the provider. */
export interface ChatContext {
  readonly profile: OpenAiChatProfile;
  readonly errors: ErrorRules;
}

/**
 * The answer in a 2xx response. The usage is read first, so that every error after it carries it.
 * @throws ProviderError PROVIDER_BAD_RESPONSE when it is no whole answer, or what an error object in it means.
 */
export function fromChatResponse(
  response: BufferedResponse,
  context: ChatContext,
  { relayed }: Relaying = NOT_RELAYED,
): ProviderAnswer {
  const providerRequestId = readRequestId(response.headers, context.profile.requestIdHeaders);
  const body = readObject(parseJson(response.body));
  const usage = mapUsage(body?.usage, context.profile);
  const providerCostPicoUsd = context.profile.statesCost
    ? parseStatedCost(readObject(body?.usage)?.cost)
    : undefined;
  const seen: SeenSoFar = { usage, providerCostPicoUsd, providerStatus: response.status, providerRequestId };
  if (body === undefined) throw badResponse(describeBody(response.body), seen);
  if (body.error !== undefined && body.error !== null) {
    throw mapErrorBody(body, { rules: context.errors, seen });
  }
  const wireChoices = readArray(body.choices);
  if (wireChoices.length === 0) throw badResponse("no choices", seen);
  const separatelyBilledTools =
    usageShowsTools(body.usage) ||
    wireChoices.some((choice) => messageShowsTools(readObject(readObject(choice)?.message) ?? {}));
  const choices = wireChoices.map((choice, position) => {
    return fromWireChoice(readObject(choice), { position, seen, profile: context.profile, relayed });
  });
  return {
    choices,
    responseModel: readText(body.model),
    usage,
    providerCostPicoUsd,
    ...(separatelyBilledTools && { separatelyBilledTools }),
    providerRequestId,
    outputBytes: countOutputBytes(choices),
  };
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
  if (finishReason === undefined && !context.relayed) throw unknownFinishReason(wireFinishReason, seen);
  if (typeof finishReason === "object") throw finishFailed(finishReason, wireFinishReason, seen);
  const { index } = choice;
  return {
    index: typeof index === "number" && Number.isSafeInteger(index) && index >= 0 ? index : position,
    message: { role: "assistant", name: undefined, parts: readParts(message) },
    finishReason: finishReason ?? "stop",
  };
}

function readParts(message: JsonObject): readonly MessagePart[] {
  const parts: MessagePart[] = [];
  const reasoning = readReasoning(message);
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

/** Reasoning has a member of its own, of one name or the other; with Mistral it is a part of the content. */
export function readReasoning(message: JsonObject): string | undefined {
  const own = readText(message.reasoning_content) ?? readText(message.reasoning);
  if (own !== undefined || !Array.isArray(message.content)) return own;
  const thoughts = message.content.map((part) => readContent(readArray(readObject(part)?.thinking)) ?? "");
  return readText(thoughts.join(""));
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
