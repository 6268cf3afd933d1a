import { type JsonObject, readArray, readObject } from "../../providers/read-json.ts";
import type { CompatibleRequest } from "../compatible/completion-format.ts";
import {
  FALLBACK_MODELS,
  invalid,
  parseBody,
  readEndUser,
  readFallbackModels,
  readModel,
  readStreamed,
  readTags,
} from "../compatible/read-request.ts";
import { toResponsesInput } from "./responses-input.ts";

/** A body of `POST /v1/responses`. */
export interface ResponsesRequest extends CompatibleRequest {
  /** Names of the tools that are given free text instead of JSON. */
  readonly customTools: ReadonlySet<string>;
}

/**
 * Reads the body, as far as the gateway needs it; the rest is the provider's.
 * @throws GatewayError INVALID_REQUEST, with the member that it is about
 */
export function parseResponsesRequest(bytes: Uint8Array): ResponsesRequest {
  const { text, body } = parseBody(bytes);
  const model = readModel(body);
  const streamed = readStreamed(body);
  // It is answered before there is a usage, and nobody would ever see what it cost.
  if (body.background === true)
    throw invalid("background", "'background' is not served: its cost would be on no record.");
  const endUser = readEndUser(body, ["safety_identifier", "user"]);
  const tools = readArray(body.tools).map((tool) => readObject(tool) ?? {});
  return {
    model,
    fallbackModels: readFallbackModels(body),
    tags: readTags(body.metadata),
    endUser,
    streamed,
    input: toResponsesInput(body, endUser),
    native: {
      dialect: "openai-responses",
      text,
      body,
      // A response is kept with its metadata unless it is not to be kept at all.
      gatewayMembers: body.store === false ? [FALLBACK_MODELS, "metadata"] : [FALLBACK_MODELS],
      untranslatable: "all",
      staysWithProvider: refersToProvider(body),
    },
    customTools: new Set(tools.filter(({ type }) => type === "custom").map(({ name }) => String(name))),
  };
}

/**
 * Whether the request says something that only one provider can read: what it kept (responses, conversations, prompts,
 * files), or encrypted for itself. Another one would refuse it, or answer as if it had not been said.
 */
function refersToProvider(body: JsonObject): boolean {
  const members = [body.previous_response_id, body.conversation, body.prompt];
  return members.some((value) => value !== undefined && value !== null) || readArray(body.input).some(refers);
}

function refers(value: unknown): boolean {
  const item = readObject(value) ?? {};
  return (
    item.type === "item_reference" ||
    typeof item.encrypted_content === "string" ||
    [...readArray(item.content), ...readArray(item.output)].some(
      (part) => typeof readObject(part)?.file_id === "string",
    )
  );
}
