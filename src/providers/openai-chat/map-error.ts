import type { IncomingHttpHeaders } from "node:http";
import { type Billing, ProviderError, type ProviderErrorReason } from "../../core/provider-error.ts";
import type { BufferedResponse } from "../buffered-call.ts";
import type { SeenSoFar } from "../map-error.ts";
import { parseJson, readObject } from "../read-json.ts";
import { MAX_INSPECTED_LENGTH, toSafeText } from "../safe-text.ts";
import type { OpenAiChatProfile } from "./profile.ts";
import { readRetryAfterMs } from "./read-headers.ts";

/** What the mapping of errors needs to know of the provider. */
export interface ErrorContext {
  readonly profile: OpenAiChatProfile;
  /** Removed from every text that goes into an error. */
  readonly secrets: readonly string[];
}

/** `code` or `type` of an error body. The quota ones come with status 429 but do not pass by waiting. */
const REASON_BY_CODE: Readonly<Record<string, ProviderErrorReason>> = {
  insufficient_quota: "PROVIDER_QUOTA_EXHAUSTED",
  credit_balance_exhausted: "PROVIDER_QUOTA_EXHAUSTED",
  organization_spend_limit_exceeded: "PROVIDER_QUOTA_EXHAUSTED",
  project_spend_limit_exceeded: "PROVIDER_QUOTA_EXHAUSTED",
  organization_usage_limit_exceeded: "PROVIDER_QUOTA_EXHAUSTED",
  context_length_exceeded: "CONTEXT_TOO_LONG",
  content_filter: "CONTENT_FILTERED",
  content_policy_violation: "CONTENT_FILTERED",
  bio_policy: "CONTENT_FILTERED",
  misalignment_policy_violation: "CONTENT_FILTERED",
  model_not_found: "PROVIDER_MODEL_NOT_FOUND",
  model_not_supported: "PROVIDER_MODEL_NOT_FOUND",
  invalid_api_key: "PROVIDER_AUTHENTICATION",
  authentication_error: "PROVIDER_AUTHENTICATION",
  rate_limit_exceeded: "PROVIDER_RATE_LIMITED",
  rate_limit_error: "PROVIDER_RATE_LIMITED",
  slow_down: "PROVIDER_OVERLOADED",
  server_is_overloaded: "PROVIDER_OVERLOADED",
  service_unavailable_error: "PROVIDER_OVERLOADED",
  overloaded_error: "PROVIDER_OVERLOADED",
  invalid_request_error: "PROVIDER_INVALID_REQUEST",
};

/** Reasons whose message quotes the provider, since the caller has to change the request. */
const QUOTES_PROVIDER: ReadonlySet<ProviderErrorReason> = new Set([
  "PROVIDER_INVALID_REQUEST",
  "CONTEXT_TOO_LONG",
]);

const MESSAGES: Partial<Record<ProviderErrorReason, string>> = {
  PROVIDER_AUTHENTICATION: "the provider refused the gateway's credential",
  PROVIDER_QUOTA_EXHAUSTED: "the gateway's account at the provider is out of quota",
  PROVIDER_RATE_LIMITED: "the provider refused for its rate limit",
  PROVIDER_OVERLOADED: "the provider is overloaded",
  PROVIDER_MODEL_NOT_FOUND: "the provider does not know the model",
  PROVIDER_INVALID_REQUEST: "the provider refused the request as invalid",
  PROVIDER_BAD_RESPONSE: "the provider's answer was not understood",
  CONTEXT_TOO_LONG: "the input exceeds the model's context",
  CONTENT_FILTERED: "the provider's content filter refused",
};

interface StatedError {
  /** `code`, `type` and `param` as stated, for a caller who speaks the dialect. */
  readonly stated: { readonly code: unknown; readonly type: unknown; readonly param: unknown };
  readonly codes: readonly string[];
  /** A code that is a number is an HTTP status, with the partners of HuggingFace for example. */
  readonly status: number | undefined;
  readonly message: string;
}

const NOTHING_STATED: StatedError = {
  stated: { code: undefined, type: undefined, param: undefined },
  codes: [],
  status: undefined,
  message: "",
};

/** A response with another status than 2xx. */
export function mapHttpError(
  response: BufferedResponse,
  context: ErrorContext & { seen: SeenSoFar },
): ProviderError {
  const body = readObject(parseJson(response.body));
  const stated = body ? readStatedError(body) : NOTHING_STATED;
  let reason = classifyStatus(response.status, stated, context.profile);
  const shouldRetry = response.headers["x-should-retry"];
  // OpenAI's header overrides what its status says.
  if (shouldRetry === "true" && reason === "PROVIDER_INVALID_REQUEST") reason = "PROVIDER_ERROR";
  return createError(reason, stated, {
    ...context,
    // 499: the provider saw the gateway hang up, and some bill for what was done until then.
    billing: response.status === 499 ? "maybe_billed" : "not_billed",
    headers: response.headers,
    metadata: shouldRetry === "false" ? { should_retry: "false" } : undefined,
    text: stated.message === "" ? response.body : stated.message,
  });
}

/** An error object that came with status 200: as the whole answer, or in the middle of a stream. */
export function mapErrorBody(
  body: Readonly<Record<string, unknown>>,
  context: ErrorContext & { seen: SeenSoFar },
): ProviderError {
  const stated = readStatedError(body);
  const reason = classifyCodes(stated) ?? (stated.status === undefined ? "PROVIDER_ERROR" : undefined);
  return createError(reason ?? classifyStatus(stated.status ?? 500, stated, context.profile), stated, {
    ...context,
    billing: "maybe_billed",
    headers: {},
    metadata: undefined,
    text: stated.message,
  });
}

function classifyStatus(
  status: number,
  stated: StatedError,
  profile: OpenAiChatProfile,
): ProviderErrorReason {
  const byCode = classifyCodes(stated);
  if (status < 400) return "PROVIDER_BAD_RESPONSE";
  if (status === 529 || profile.overloadedStatuses.includes(status)) return "PROVIDER_OVERLOADED";
  if (status === 503) return byCode === "PROVIDER_OVERLOADED" ? byCode : "PROVIDER_ERROR";
  if (status >= 500) return "PROVIDER_ERROR";
  switch (status) {
    case 401:
      return "PROVIDER_AUTHENTICATION";
    case 402:
      return "PROVIDER_QUOTA_EXHAUSTED";
    case 403:
      // OpenAI answers 403 with this code when the project has no access to the model.
      return byCode === "PROVIDER_MODEL_NOT_FOUND" ? byCode : "PROVIDER_AUTHENTICATION";
    case 404:
      return "PROVIDER_MODEL_NOT_FOUND";
    case 408:
    case 409:
    case 425:
    case 499:
      return "PROVIDER_ERROR";
    case 429:
      return byCode === "PROVIDER_QUOTA_EXHAUSTED" ? byCode : "PROVIDER_RATE_LIMITED";
    default:
      return classifyRefusal(stated, byCode, profile);
  }
}

/** 400, 413, 422 and the rest of 4xx: the request is at fault, and the code or the message says how. */
function classifyRefusal(
  stated: StatedError,
  byCode: ProviderErrorReason | undefined,
  profile: OpenAiChatProfile,
): ProviderErrorReason {
  if (byCode !== undefined && byCode !== "PROVIDER_INVALID_REQUEST") return byCode;
  if (profile.contextTooLongPattern?.test(stated.message)) return "CONTEXT_TOO_LONG";
  if (profile.contentFilteredPattern?.test(stated.message)) return "CONTENT_FILTERED";
  return "PROVIDER_INVALID_REQUEST";
}

/** The code says more than the type; either may be missing. */
function classifyCodes(stated: StatedError): ProviderErrorReason | undefined {
  let found: ProviderErrorReason | undefined;
  for (const code of stated.codes) {
    const reason = Object.hasOwn(REASON_BY_CODE, code) ? REASON_BY_CODE[code] : undefined;
    if (reason === "PROVIDER_QUOTA_EXHAUSTED") return reason;
    found ??= reason;
  }
  return found;
}

/** `{error: {message, type, code}}`, `{error: "…"}`, `{message}` or `{detail}`: all of them occur. */
function readStatedError(body: Readonly<Record<string, unknown>>): StatedError {
  const error = readObject(body.error) ?? body;
  const { code, type } = error;
  const codes = [code, type].filter((value) => typeof value === "string");
  const status = [code, error.status, error.http_status_code].find(isErrorStatus);
  const text = [error.message, body.error, body.message, body.detail].find(
    (value) => typeof value === "string" && value !== "",
  );
  const stated = { code, type, param: error.param };
  return { stated, codes, status, message: typeof text === "string" ? text : "" };
}

function isErrorStatus(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 400 && value < 600;
}

interface ErrorFacts extends ErrorContext {
  readonly seen: SeenSoFar;
  readonly billing: Billing;
  readonly headers: IncomingHttpHeaders;
  readonly metadata: Readonly<Record<string, string>> | undefined;
  readonly text: string;
}

function createError(reason: ProviderErrorReason, stated: StatedError, facts: ErrorFacts): ProviderError {
  const { providerStatus } = facts.seen;
  const summary = MESSAGES[reason] ?? "the provider failed";
  const message = providerStatus === undefined ? summary : `${summary} (HTTP ${providerStatus})`;
  const quote = QUOTES_PROVIDER.has(reason) ? toSafeText(stated.message, facts.secrets) : "";
  return new ProviderError(reason, quote === "" ? message : `${message}: ${quote}`, {
    ...facts.seen,
    billing: facts.billing,
    metadata: QUOTES_PROVIDER.has(reason) ? { ...toMetadata(stated), ...facts.metadata } : facts.metadata,
    retryAfterMs: readRetryAfterMs(facts.headers),
    cause: toLoggableCause(stated, facts),
  });
}

/** What an error code looks like: a word, in which no prompt has room. */
const CODE_PATTERN = /^[\w.:-]{1,64}$/;
/** A path into the request. */
const PARAM_PATTERN = /^[\w.[\]-]{1,128}$/;
/** The title of a proxy's error page, such as `502 Bad Gateway`. */
const TITLE_PATTERN = /<(?:title|h1)>\s*([^<]{1,80})</i;

/** What the caller's program may go by; texts that are no words are not passed on. */
function toMetadata({ stated }: StatedError): Readonly<Record<string, string>> {
  const metadata: Record<string, string> = {};
  const { code, type, param } = stated;
  if (typeof code === "string" && CODE_PATTERN.test(code)) metadata.provider_code = code;
  if (typeof type === "string" && CODE_PATTERN.test(type)) metadata.provider_type = type;
  if (typeof param === "string" && PARAM_PATTERN.test(param)) metadata.provider_param = param;
  return metadata;
}

/**
 * The cause is logged, and what a provider or a server before it says of an error may quote the prompt (FastAPI, for
 * one, repeats the input that it refuses): only codes and titles are kept of it.
 */
function toLoggableCause(stated: StatedError, { text, secrets }: ErrorFacts): string {
  const codes = stated.codes.filter((code) => CODE_PATTERN.test(code));
  if (codes.length > 0) return toSafeText(codes.join(" "), secrets);
  const title = TITLE_PATTERN.exec(text.slice(0, MAX_INSPECTED_LENGTH))?.[1];
  if (title !== undefined) return toSafeText(title, secrets);
  return `an error without a code, of ${text.length} characters`;
}
