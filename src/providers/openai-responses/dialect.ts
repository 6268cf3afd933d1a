import type { Dialect } from "../dialect.ts";
import { changeMembers } from "../openai-chat/json-members.ts";
import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import type { JsonObject } from "../read-json.ts";
import { invalidRequest } from "../request-parts.ts";
import { createSseFraming } from "../sse-framing.ts";
import { fromResponse } from "./from-response.ts";
import { createResponsesReader } from "./from-stream.ts";
import { createResponsesErrorRules } from "./map-error.ts";

/**
 * The first events repeat the request, and the last one the whole answer, pictures included: an event may be as long as a
 * unary answer.
 */
const MAX_EVENT_LENGTH = 16 * 1024 * 1024;
/** `response.created` and `response.in_progress`, each with the request. */
const MAX_HELD_LENGTH = 2 * MAX_EVENT_LENGTH;

/**
 * OpenAI's Responses API, as the profile's provider speaks it: for requests in the dialect itself, which are sent, and
 * answered, as they were written. `secrets` never appear in an error.
 */
export function createOpenAiResponsesDialect(
  profile: OpenAiChatProfile,
  secrets: readonly string[],
): Dialect {
  const errors = createResponsesErrorRules(profile, secrets);
  const context = { profile, errors };
  return {
    nativeDialect: "openai-responses",
    toPath: () => "/responses",
    toBody({ native, model }) {
      if (!native) throw invalidRequest("only requests of the Responses API can be sent to it");
      const changes = new Map<string, string | undefined>([["model", JSON.stringify(model)]]);
      for (const member of native.gatewayMembers) changes.set(member, undefined);
      return changeMembers(native.text, changes);
    },
    fromResponse: (response) => fromResponse(response, context),
    framing: createSseFraming(MAX_EVENT_LENGTH),
    // OpenAI sends none; some others do, behind the event that ends the stream.
    terminalData: "[DONE]",
    endWithoutTerminal: "is_cut",
    maxHeldLength: MAX_HELD_LENGTH,
    createReader: (progress) => createResponsesReader(progress, context),
    isUsageOnly: isTerminal,
    errors,
    requestIdHeaders: profile.requestIdHeaders,
  };
}

/** The event that ends a stream well: it holds the usage, and all of the answer again. */
function isTerminal({ type }: JsonObject): boolean {
  return type === "response.completed" || type === "response.incomplete";
}
