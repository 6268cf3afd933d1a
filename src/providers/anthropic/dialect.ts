import type { Dialect } from "../dialect.ts";
import { type JsonObject, readObject, readText } from "../read-json.ts";
import { sseFraming } from "../sse-framing.ts";
import { fromMessagesResponse, REQUEST_ID_HEADERS } from "./from-response.ts";
import { createMessagesReader } from "./from-stream.ts";
import { createErrorRules } from "./map-error.ts";
import { toMessagesHeaders, toNativeMessagesBody } from "./native-request.ts";
import { toMessagesRequest } from "./to-request.ts";

/**
 * Anthropic's Messages API, `https://api.anthropic.com/v1`, as documented in November 2026: version 2023-06-01, and for a
 * native request its caller's version.
 */
export function createAnthropicDialect(secrets: readonly string[]): Dialect {
  const errors = createErrorRules(secrets);
  return {
    nativeDialect: "anthropic-messages",
    toPath: () => "/messages",
    toHeaders: ({ native }) => toMessagesHeaders(native),
    toBody: (call) => (call.native ? toNativeMessagesBody(call.native, call.model) : toMessagesRequest(call)),
    fromResponse: (response, relaying) => fromMessagesResponse(response, errors, relaying),
    framing: sseFraming,
    terminalData: undefined,
    // `message_stop` always comes.
    endWithoutTerminal: "is_cut",
    createReader: createMessagesReader,
    beginsEnd: saysHowItStopped,
    errors,
    requestIdHeaders: REQUEST_ID_HEADERS,
  };
}

/** The events with the stop reason and the usage, and after it `message_stop`. */
function saysHowItStopped({ type, delta }: JsonObject): boolean {
  if (type === "message_stop") return true;
  return type === "message_delta" && readText(readObject(delta)?.stop_reason) !== undefined;
}
