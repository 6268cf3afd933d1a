import type { MessagePart, ProviderAnswer } from "../../core/completion.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import { finishFailed, unknownFinishReason } from "../finish-failure.ts";
import { badResponse, type SeenSoFar } from "../map-error.ts";
import { countOutputBytes } from "../output-bytes.ts";
import { readRequestId } from "../read-headers.ts";
import { describeBody, type JsonObject, parseJson, readObject, readText } from "../read-json.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";

export const REQUEST_ID_HEADERS: readonly string[] = ["x-amzn-requestid"];

/**
 * The answer in a 2xx response; it does not name the model. The usage is read first, so that every error after it
 * carries it.
 * @throws ProviderError PROVIDER_BAD_RESPONSE when it is no whole answer
 */
export function fromConverse(response: BufferedResponse): ProviderAnswer {
  const providerRequestId = readRequestId(response.headers, REQUEST_ID_HEADERS);
  const body = readObject(parseJson(response.body));
  const usage = mapUsage(body?.usage);
  const seen: SeenSoFar = { usage, providerStatus: response.status, providerRequestId };
  if (body === undefined) throw badResponse(describeBody(response.body), seen);
  const content = readObject(readObject(body.output)?.message)?.content;
  if (!Array.isArray(content)) throw badResponse("no content", seen);
  const stopReason = readText(body.stopReason);
  if (stopReason === undefined) throw badResponse("no stop reason", seen);
  const finishReason = mapFinishReason(stopReason);
  if (finishReason === undefined) throw unknownFinishReason(stopReason, seen);
  if (typeof finishReason !== "string") throw finishFailed(finishReason, stopReason, seen);
  const parts = content.flatMap((block) => readBlock(readObject(block)));
  const choices = [
    { index: 0, message: { role: "assistant", name: undefined, parts }, finishReason } as const,
  ];
  return {
    choices,
    responseModel: undefined,
    usage,
    providerRequestId,
    outputBytes: countOutputBytes(choices),
  };
}

/** A block has one member, which says what it is. */
function readBlock(block: JsonObject | undefined): readonly MessagePart[] {
  const text = readText(block?.text);
  if (text !== undefined) return [{ kind: "text", text }];
  const reasoning = readText(readObject(readObject(block?.reasoningContent)?.reasoningText)?.text);
  if (reasoning !== undefined) return [{ kind: "reasoning", text: reasoning }];
  const call = readObject(block?.toolUse);
  if (call === undefined) return [];
  const argumentsJson = JSON.stringify(call.input ?? {});
  return [
    { kind: "tool_call", id: readText(call.toolUseId) ?? "", name: readText(call.name) ?? "", argumentsJson },
  ];
}
