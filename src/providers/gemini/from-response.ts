import type { Choice, MessagePart, ProviderAnswer } from "../../core/completion.ts";
import { ProviderError } from "../../core/provider-error.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import { finishFailed, unknownFinishReason } from "../finish-failure.ts";
import { type ErrorRules, mapErrorBody } from "../http-error.ts";
import { badResponse, type SeenSoFar } from "../map-error.ts";
import { countOutputBytes } from "../output-bytes.ts";
import { describeBody, type JsonObject, parseJson, readArray, readObject, readText } from "../read-json.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";
import { type AnswerPart, readBlockReason, readCandidateParts, toolCallId } from "./read-candidate.ts";

/**
 * The answer in a 2xx response. The usage is read first, so that every error after it carries it.
 * @throws ProviderError PROVIDER_BAD_RESPONSE when it is no whole answer, CONTENT_FILTERED when the prompt was blocked,
 * or what an error object in it means.
 */
export function fromGenerateContent(response: BufferedResponse, errors: ErrorRules): ProviderAnswer {
  const body = readObject(parseJson(response.body));
  const usage = mapUsage(body?.usageMetadata);
  const providerRequestId = readText(body?.responseId);
  const seen: SeenSoFar = { usage, providerStatus: response.status, providerRequestId };
  if (body === undefined) throw badResponse(describeBody(response.body), seen);
  if (body.error !== undefined && body.error !== null) throw mapErrorBody(body, { rules: errors, seen });
  const candidates = readArray(body.candidates);
  if (candidates.length === 0) {
    throw readBlockReason(body) === undefined
      ? badResponse("no candidates", seen)
      : promptBlocked(body, seen);
  }
  const choices = candidates.map((candidate, position) =>
    fromCandidate(readObject(candidate), position, seen),
  );
  return {
    choices,
    responseModel: readText(body.modelVersion),
    usage,
    providerRequestId,
    outputBytes: countOutputBytes(choices),
  };
}

/** The prompt was read, and may be billed, but not answered. */
export function promptBlocked(body: JsonObject, seen: SeenSoFar): ProviderError {
  return new ProviderError("CONTENT_FILTERED", "the provider's content filter refused", {
    ...seen,
    billing: "maybe_billed",
    cause: readBlockReason(body)?.slice(0, 40),
  });
}

function fromCandidate(candidate: JsonObject | undefined, position: number, seen: SeenSoFar): Choice {
  if (candidate === undefined) throw badResponse("a candidate that is no object", seen);
  const wireFinishReason = readText(candidate.finishReason);
  if (wireFinishReason === undefined) throw badResponse("a candidate without a finish reason", seen);
  const answerParts = readCandidateParts(candidate);
  const hasToolCalls = answerParts.some(({ kind }) => kind === "tool_call");
  const finishReason = mapFinishReason(wireFinishReason, hasToolCalls);
  if (finishReason === undefined) throw unknownFinishReason(wireFinishReason, seen);
  if (typeof finishReason !== "string") throw finishFailed(finishReason, wireFinishReason, seen);
  const { index } = candidate;
  return {
    index: typeof index === "number" && Number.isSafeInteger(index) && index >= 0 ? index : position,
    message: { role: "assistant", name: undefined, parts: toMessageParts(answerParts) },
    finishReason,
  };
}

function toMessageParts(answerParts: readonly AnswerPart[]): readonly MessagePart[] {
  let toolIndex = -1;
  return answerParts.map((part) => {
    if (part.kind !== "tool_call") return part;
    toolIndex += 1;
    return { ...part, id: part.id ?? toolCallId(toolIndex) };
  });
}
