import type { ProviderAnswer } from "../../core/completion.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import { usageShowsTools } from "../hosted-tools.ts";
import { type ErrorRules, mapErrorBody } from "../http-error.ts";
import { badResponse, type SeenSoFar } from "../map-error.ts";
import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { countOutputBytes } from "../output-bytes.ts";
import { readRequestId } from "../read-headers.ts";
import { describeBody, type JsonObject, parseJson, readObject, readText } from "../read-json.ts";
import { parseStatedCost } from "../stated-cost.ts";
import { mapUsage } from "./map-usage.ts";
import { readFinishReason, readOutput } from "./read-output.ts";

/** What reading an answer needs to know of the provider. */
export interface ResponsesContext {
  readonly profile: OpenAiChatProfile;
  readonly errors: ErrorRules;
}

/**
 * The answer in a 2xx response. The usage is read first, so that every error after it carries it.
 * @throws ProviderError PROVIDER_BAD_RESPONSE when it is no whole answer, or what its error means
 */
export function fromResponse(response: BufferedResponse, context: ResponsesContext): ProviderAnswer {
  const { profile, errors } = context;
  const providerRequestId = readRequestId(response.headers, profile.requestIdHeaders);
  const body = readObject(parseJson(response.body));
  const { parts, hostedTools } = readOutput(body?.output);
  const separatelyBilledTools = hostedTools || usageShowsTools(body?.usage);
  const billed = {
    ...readBill(body ?? {}, profile),
    ...(separatelyBilledTools && { separatelyBilledTools }),
  };
  const seen: SeenSoFar = { ...billed, providerStatus: response.status, providerRequestId };
  if (body === undefined) throw badResponse(describeBody(response.body), seen);
  const { error, status, output } = body;
  if (status === "failed" || (error !== undefined && error !== null))
    throw mapErrorBody(error === undefined || error === null ? {} : body, { rules: errors, seen });
  if (!Array.isArray(output)) throw badResponse("no output", seen);
  if (status !== undefined && status !== "completed" && status !== "incomplete")
    throw badResponse("a response that is not over", seen);
  const finishReason = readFinishReason(
    body,
    parts.some(({ kind }) => kind === "tool_call"),
  );
  const choices = [
    { index: 0, message: { role: "assistant", name: undefined, parts }, finishReason } as const,
  ];
  return {
    choices,
    responseModel: readText(body.model),
    ...billed,
    providerRequestId,
    outputBytes: countOutputBytes(choices),
  };
}

/** What a response says of its usage and, where the provider does, of its cost. */
export function readBill({ usage }: JsonObject, profile: OpenAiChatProfile) {
  return {
    usage: mapUsage(usage, profile),
    providerCostPicoUsd: profile.statesCost ? parseStatedCost(readObject(usage)?.cost) : undefined,
  };
}
