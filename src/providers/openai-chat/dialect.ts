import type { Dialect } from "../dialect.ts";
import { sseFraming } from "../sse-framing.ts";
import { fromChatResponse } from "./from-response.ts";
import { createChatReader } from "./from-stream.ts";
import { createErrorRules } from "./map-error.ts";
import type { OpenAiChatProfile } from "./profile.ts";
import { toChatRequest } from "./to-request.ts";

/** OpenAI's chat completions, as the profile's provider speaks them. `secrets` never appear in an error. */
export function createOpenAiChatDialect(profile: OpenAiChatProfile, secrets: readonly string[]): Dialect {
  const errors = createErrorRules(profile, secrets);
  const context = { profile, errors };
  return {
    toPath: () => "/chat/completions",
    toBody: (call) => toChatRequest(call, profile),
    fromResponse: (response) => fromChatResponse(response, context),
    framing: sseFraming,
    terminalData: "[DONE]",
    endWithoutTerminal: profile.endWithoutDone,
    createReader: (progress) => createChatReader(progress, context),
    errors,
    requestIdHeaders: profile.requestIdHeaders,
  };
}
