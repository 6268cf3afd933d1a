import type { GatewayError } from "../../core/errors.ts";
import { retryAfterMs } from "../error-map.ts";

/** The clients of OpenAI and Anthropic obey `x-should-retry`, and wait as `retry-after-ms` says. */
export function retryHeaders(error: GatewayError): Record<string, string> {
  const headers: Record<string, string> = {
    "x-should-retry": String(isRetryable(error)),
    "x-llm-gateway-error-reason": error.reason,
  };
  const waitMs = isRetryable(error) ? retryAfterMs(error) : error.retryAfterMs;
  if (waitMs !== undefined) {
    headers["retry-after"] = String(Math.ceil(waitMs / 1000));
    headers["retry-after-ms"] = String(Math.ceil(waitMs));
  }
  return headers;
}

/** A request that is larger than its whole limit says no time to wait: it will never be admitted. */
function isRetryable({ reason, retryable, retryAfterMs }: GatewayError): boolean {
  return retryable && (reason !== "RATE_LIMITED" || retryAfterMs !== undefined);
}
