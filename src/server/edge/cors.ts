import { cors as connectCors } from "@connectrpc/connect";
import { type EdgeRequest, type EdgeResponse, sendAnswer } from "./handler.ts";

/** Lets scripts of other origins call from a browser. */
export interface Cors {
  /**
   * Adds what the browser needs to know, before the request is handled. True when the request was a preflight: it is
   * answered then.
   */
  apply(request: EdgeRequest, response: EdgeResponse): boolean;
}

const ALLOWED_METHODS = [...connectCors.allowedMethods, "HEAD"].join(", ");
const ALLOWED_HEADERS = [
  ...connectCors.allowedHeaders,
  "Authorization",
  "X-Api-Key",
  "X-Request-Id",
  "Idempotency-Key",
  // What OpenAI's clients send.
  "OpenAI-Organization",
  "OpenAI-Project",
  // What Anthropic's send.
  "Anthropic-Beta",
  "Anthropic-Dangerous-Direct-Browser-Access",
  "Anthropic-Version",
  ...[
    "Arch",
    "Helper",
    "Helper-Method",
    "Lang",
    "OS",
    "Package-Version",
    "Retry-Count",
    "Runtime",
    "Runtime-Version",
  ].map((name) => `X-Stainless-${name}`),
  "X-Stainless-Timeout",
  "X-LLM-Gateway-Recovery",
  "X-LLM-Gateway-Timeout-Ms",
  "Traceparent",
  "Tracestate",
].join(", ");
const EXPOSED_HEADERS = [
  ...connectCors.exposedHeaders,
  ...["Retry-After", "Retry-After-Ms", "Request-Id", "X-Request-Id", "X-Should-Retry"],
  ...[
    "Attempts",
    "Cost-Estimated",
    "Cost-Unpriced",
    "Cost-Usd",
    "Error-Reason",
    "Ignored",
    "Model",
    "Provider",
  ].map((name) => `X-LLM-Gateway-${name}`),
  ...["Limit", "Remaining", "Reset"].flatMap((name) => [
    `X-RateLimit-${name}-Requests`,
    `X-RateLimit-${name}-Tokens`,
    `Anthropic-RateLimit-Requests-${name}`,
    `Anthropic-RateLimit-Tokens-${name}`,
  ]),
].join(", ");
/** How long a browser may remember a preflight: two hours, the most that Chromium keeps. */
const MAX_AGE_SECONDS = 7200;

/**
 * @param allowedOrigins exact origins such as `https://app.example.com`, or `*` for every origin. Cookies are never
 *   allowed: callers authenticate by a header that a foreign page does not have.
 */
export function createCors(allowedOrigins: readonly string[]): Cors {
  const allowed = new Set(allowedOrigins);
  const anyOrigin = allowed.has("*");

  return {
    apply(request, response) {
      if (allowed.size === 0) return false;
      // Also without an origin: a cache must not give that answer to a browser.
      if (!anyOrigin) response.setHeader("vary", "Origin");
      const { origin } = request.headers;
      if (typeof origin !== "string") return false;
      const isAllowed = anyOrigin || allowed.has(origin);
      if (isAllowed) {
        response.setHeader("access-control-allow-origin", anyOrigin ? "*" : origin);
        response.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
      }
      const isPreflight =
        request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
      if (!isPreflight) return false;
      // Without these headers the browser refuses by itself.
      const headers: Record<string, string> = isAllowed
        ? {
            "access-control-allow-methods": ALLOWED_METHODS,
            "access-control-allow-headers": ALLOWED_HEADERS,
            "access-control-max-age": String(MAX_AGE_SECONDS),
          }
        : {};
      sendAnswer(request, response, { status: 204, headers, body: "" });
      return true;
    },
  };
}
