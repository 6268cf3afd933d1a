import type { MessagePart, ProviderAnswer } from "../../core/completion.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import { NOT_RELAYED, type Relaying } from "../event-relay.ts";
import { finishFailed, unknownFinishReason } from "../finish-failure.ts";
import { type ErrorRules, mapErrorBody } from "../http-error.ts";
import { badResponse, type SeenSoFar } from "../map-error.ts";
import { countOutputBytes } from "../output-bytes.ts";
import { readRequestId } from "../read-headers.ts";
import { describeBody, type JsonObject, parseJson, readObject, readText } from "../read-json.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { chargesBeyondTokens, mapUsage } from "./map-usage.ts";

export const REQUEST_ID_HEADERS: readonly string[] = ["request-id"];

/**
 * The answer in a 2xx response. The usage is read first, so that every error after it carries it.
 * @throws ProviderError PROVIDER_BAD_RESPONSE when it is no whole answer, or what an error object in it means.
 */
export function fromMessagesResponse(
  response: BufferedResponse,
  errors: ErrorRules,
  { relayed }: Relaying = NOT_RELAYED,
): ProviderAnswer {
  const providerRequestId = readRequestId(response.headers, REQUEST_ID_HEADERS);
  const body = readObject(parseJson(response.body));
  const usage = mapUsage(body?.usage);
  const charges = chargesBeyondTokens(body?.usage) ? { chargesBeyondTokens: true } : undefined;
  const seen: SeenSoFar = { usage, ...charges, providerStatus: response.status, providerRequestId };
  if (body === undefined) throw badResponse(describeBody(response.body), seen);
  if (body.error !== undefined && body.error !== null) throw mapErrorBody(body, { rules: errors, seen });
  if (!Array.isArray(body.content)) throw badResponse("no content", seen);
  const stopReason = readText(body.stop_reason);
  if (stopReason === undefined) throw badResponse("no stop reason", seen);
  // Of an answer that is relayed its reader, not the gateway, must know every stop reason.
  const finishReason = mapFinishReason(stopReason) ?? (relayed ? "stop" : undefined);
  if (finishReason === undefined) throw unknownFinishReason(stopReason, seen);
  if (typeof finishReason !== "string") throw finishFailed(finishReason, stopReason, seen);
  const parts = body.content.flatMap((block) => readBlock(readObject(block)));
  const choices = [
    { index: 0, message: { role: "assistant", name: undefined, parts }, finishReason } as const,
  ];
  return {
    choices,
    responseModel: readText(body.model),
    usage,
    ...charges,
    providerRequestId,
    outputBytes: countOutputBytes(choices),
  };
}

/** Redacted thinking and blocks of the API's own tools show nothing to the caller. */
function readBlock(block: JsonObject | undefined): readonly MessagePart[] {
  switch (block?.type) {
    case "text": {
      const text = readText(block.text);
      return text === undefined ? [] : [{ kind: "text", text }];
    }
    case "thinking": {
      const text = readText(block.thinking);
      return text === undefined ? [] : [{ kind: "reasoning", text }];
    }
    case "tool_use": {
      const argumentsJson = JSON.stringify(block.input ?? {});
      const name = readText(block.name) ?? "";
      return [{ kind: "tool_call", id: readText(block.id) ?? "", name, argumentsJson }];
    }
    default:
      return [];
  }
}
