import type { Dialect } from "../dialect.ts";
import { sseFraming } from "../sse-framing.ts";
import { fromMessagesResponse, REQUEST_ID_HEADERS } from "./from-response.ts";
import { createMessagesReader } from "./from-stream.ts";
import { createErrorRules } from "./map-error.ts";
import { toMessagesRequest } from "./to-request.ts";

/** Anthropic's Messages API, `https://api.anthropic.com/v1`, version 2023-06-01, as documented in November 2026. */
export function createAnthropicDialect(secrets: readonly string[]): Dialect {
  const errors = createErrorRules(secrets);
  return {
    toPath: () => "/messages",
    toBody: toMessagesRequest,
    fromResponse: (response) => fromMessagesResponse(response, errors),
    framing: sseFraming,
    terminalData: undefined,
    // `message_stop` always comes.
    endWithoutTerminal: "is_cut",
    createReader: createMessagesReader,
    errors,
    requestIdHeaders: REQUEST_ID_HEADERS,
  };
}
