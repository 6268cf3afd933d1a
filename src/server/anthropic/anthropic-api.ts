import type { Clock } from "../../core/clock.ts";
import type { CompatibleApi } from "../compatible/compatible-call.ts";
import { toAnthropicError } from "./anthropic-error.ts";
import { rateLimitHeaders, refusedLimitHeaders } from "./rate-limit-headers.ts";

/** Where Anthropic's clients look for the id of a request. */
export const REQUEST_ID_HEADER = "request-id";

/** What the answers of Anthropic's API have in common. */
export function createAnthropicApi(clock: Clock): CompatibleApi {
  return {
    protocol: "anthropic",
    requestIdHeader: REQUEST_ID_HEADER,
    rateLimitHeaders: (limits) => rateLimitHeaders(limits, clock.now()),
    refusedLimitHeaders: (error) => refusedLimitHeaders(error, clock.now()),
    toError: toAnthropicError,
  };
}
