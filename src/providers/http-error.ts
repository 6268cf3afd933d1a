import type { IncomingHttpHeaders } from "node:http";
import { type Billing, ProviderError, type ProviderErrorReason } from "../core/provider-error.ts";
import type { BufferedResponse } from "./buffered-call.ts";
import type { SeenSoFar } from "./map-error.ts";
import { readRetryAfterMs } from "./read-headers.ts";
import { type JsonObject, parseJson, readArray, readObject } from "./read-json.ts";
import { MAX_INSPECTED_LENGTH, toSafeText } from "./safe-text.ts";

/** What an error body says. */
export interface StatedError {
  /** Codes and types; the first that is known counts. */
  readonly codes: readonly string[];
  /** A status stated in the body. */
  readonly status: number | undefined;
  readonly message: string;
  /** As stated, for a caller who speaks the dialect; undefined for a dialect that no caller speaks. */
  readonly words?: { readonly code: unknown; readonly type: unknown; readonly param: unknown } | undefined;
  /** A wait that the body asks for. */
  readonly retryAfterMs?: number | undefined;
}

/** How one provider words its errors. */
export interface ErrorRules {
  readonly readError: (body: JsonObject, headers: IncomingHttpHeaders) => StatedError;
  readonly reasonByCode: Readonly<Record<string, ProviderErrorReason>>;
  /**
   * For providers that may state a wait nowhere else: the milliseconds that the message of a refusal asks for, be it for
   * a rate limit or for overload.
   */
  readonly readWaitMs?: ((message: string) => number | undefined) | undefined;
  /** Codes of a 404 that says that something else than the model is not there, to which the request refers. */
  readonly missingReferenceCodes?: ReadonlySet<string> | undefined;
  /** Statuses that mean overload by themselves, whatever the body says; 529 always does. */
  readonly overloadedStatuses: readonly number[];
  /** For providers that have no error code for it: the message of a 4xx that says the input is too long. */
  readonly contextTooLongPattern: RegExp | undefined;
  /** Likewise for a content filter. */
  readonly contentFilteredPattern: RegExp | undefined;
  /** Removed from every text that goes into an error. */
  readonly secrets: readonly string[];
}

export interface ErrorContext {
  readonly rules: ErrorRules;
  readonly seen: SeenSoFar;
}

/** Reasons whose message quotes the provider, since the caller has to change the request. */
const QUOTES_PROVIDER: ReadonlySet<ProviderErrorReason> = new Set([
  "PROVIDER_INVALID_REQUEST",
  "CONTEXT_TOO_LONG",
]);

/** Reasons that pass by waiting. */
const PASSES: ReadonlySet<ProviderErrorReason> = new Set(["PROVIDER_RATE_LIMITED", "PROVIDER_OVERLOADED"]);

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

/** A response with another status than 2xx. */
export function mapHttpError(response: BufferedResponse, context: ErrorContext): ProviderError {
  const parsed = parseJson(response.body);
  // Google answers an array with one error when a stream was asked for.
  const body = readObject(parsed) ?? readObject(readArray(parsed)[0]) ?? {};
  const stated = context.rules.readError(body, response.headers);
  let reason = classifyStatus(response.status, stated, context.rules);
  // Whoever sends elsewhere does so again: the address is wrong, which no wait mends.
  const shouldRetry = response.status < 400 ? "false" : response.headers["x-should-retry"];
  // OpenAI's header overrides what its status says.
  if (shouldRetry === "true" && reason === "PROVIDER_INVALID_REQUEST") reason = "PROVIDER_ERROR";
  return createHttpError(reason, stated, {
    ...context,
    // 499: the provider saw the gateway hang up, and some bill for what was done until then.
    billing: response.status === 499 ? "maybe_billed" : "not_billed",
    headers: response.headers,
    metadata: shouldRetry === "false" ? { should_retry: "false" } : undefined,
    text: stated.message === "" ? response.body : stated.message,
  });
}

/** An error object that came with status 200: as the whole answer, or in the middle of a stream. */
export function mapErrorBody(body: JsonObject, context: ErrorContext): ProviderError {
  const { rules } = context;
  const stated = rules.readError(body, {});
  const reason = classifyCodes(stated, rules) ?? (stated.status === undefined ? "PROVIDER_ERROR" : undefined);
  return createHttpError(reason ?? classifyStatus(stated.status ?? 500, stated, rules), stated, {
    ...context,
    billing: "maybe_billed",
    headers: {},
    metadata: undefined,
    text: stated.message,
  });
}

/** What a status means, refined by what the body states. */
function classifyStatus(status: number, stated: StatedError, rules: ErrorRules): ProviderErrorReason {
  const byCode = classifyCodes(stated, rules);
  if (status < 400) return "PROVIDER_BAD_RESPONSE";
  if (status === 529 || rules.overloadedStatuses.includes(status)) return "PROVIDER_OVERLOADED";
  if (status === 503) return byCode === "PROVIDER_OVERLOADED" ? byCode : "PROVIDER_ERROR";
  if (status >= 500) return "PROVIDER_ERROR";
  switch (status) {
    case 401:
      return "PROVIDER_AUTHENTICATION";
    case 402:
      return "PROVIDER_QUOTA_EXHAUSTED";
    case 403:
      return classifyForbidden(stated, byCode, rules);
    case 404:
      return stated.codes.some((code) => rules.missingReferenceCodes?.has(code))
        ? "PROVIDER_INVALID_REQUEST"
        : "PROVIDER_MODEL_NOT_FOUND";
    case 408:
    case 409:
    case 425:
    case 499:
      return "PROVIDER_ERROR";
    case 429:
      return byCode === "PROVIDER_QUOTA_EXHAUSTED" ? byCode : "PROVIDER_RATE_LIMITED";
    default:
      return classifyRefusal(stated, byCode, rules);
  }
}

/** Some providers answer 403 where others answer 404 or 400. */
function classifyForbidden(
  stated: StatedError,
  byCode: ProviderErrorReason | undefined,
  rules: ErrorRules,
): ProviderErrorReason {
  // OpenAI answers 403 with this code when the project has no access to the model.
  if (byCode === "PROVIDER_MODEL_NOT_FOUND" || byCode === "CONTENT_FILTERED") return byCode;
  return classifyMessage(stated, rules) ?? "PROVIDER_AUTHENTICATION";
}

/** 400, 413, 422 and the rest of 4xx: the request is at fault, and the code or the message says how. */
function classifyRefusal(
  stated: StatedError,
  byCode: ProviderErrorReason | undefined,
  rules: ErrorRules,
): ProviderErrorReason {
  if (byCode !== undefined && byCode !== "PROVIDER_INVALID_REQUEST") return byCode;
  return classifyMessage(stated, rules) ?? "PROVIDER_INVALID_REQUEST";
}

function classifyMessage({ message }: StatedError, rules: ErrorRules): ProviderErrorReason | undefined {
  if (rules.contextTooLongPattern?.test(message)) return "CONTEXT_TOO_LONG";
  return rules.contentFilteredPattern?.test(message) ? "CONTENT_FILTERED" : undefined;
}

/** The code says more than the type; either may be missing. */
function classifyCodes(stated: StatedError, rules: ErrorRules): ProviderErrorReason | undefined {
  let found: ProviderErrorReason | undefined;
  for (const code of stated.codes) {
    const reason = Object.hasOwn(rules.reasonByCode, code) ? rules.reasonByCode[code] : undefined;
    if (reason === "PROVIDER_QUOTA_EXHAUSTED") return reason;
    found ??= reason;
  }
  return found;
}

interface ErrorFacts extends ErrorContext {
  readonly billing: Billing;
  readonly headers: IncomingHttpHeaders;
  readonly metadata: Readonly<Record<string, string>> | undefined;
  /** All that the provider said, of which the log gets codes and titles only. */
  readonly text: string;
}

/** The error with a message that is safe to be told. */
function createHttpError(reason: ProviderErrorReason, stated: StatedError, facts: ErrorFacts): ProviderError {
  const { secrets } = facts.rules;
  const { providerStatus } = facts.seen;
  const summary = MESSAGES[reason] ?? "the provider failed";
  const message = providerStatus === undefined ? summary : `${summary} (HTTP ${providerStatus})`;
  const quote = QUOTES_PROVIDER.has(reason) ? toSafeText(stated.message, secrets) : "";
  return new ProviderError(reason, quote === "" ? message : `${message}: ${quote}`, {
    ...facts.seen,
    billing: facts.billing,
    metadata: QUOTES_PROVIDER.has(reason)
      ? { ...toMetadata(stated, facts.rules), ...facts.metadata }
      : facts.metadata,
    retryAfterMs:
      readRetryAfterMs(facts.headers) ??
      stated.retryAfterMs ??
      (PASSES.has(reason) ? facts.rules.readWaitMs?.(stated.message) : undefined),
    cause: toLoggableCause(stated, facts),
  });
}

/** What an error code looks like: a word, in which no prompt has room. */
const CODE_PATTERN = /^[\w.:-]{1,64}$/;
/** A path into the request. */
const PARAM_PATTERN = /^[\w.[\]-]{1,128}$/;
/** The title of a proxy's error page, such as `502 Bad Gateway`. */
const TITLE_PATTERN = /<(?:title|h1)>\s*([^<]{1,80})</i;

/** What the caller's program may go by; texts that are no words, or hold a secret, are not passed on. */
function toMetadata({ words }: StatedError, { secrets }: ErrorRules): Readonly<Record<string, string>> {
  const metadata: Record<string, string> = {};
  const add = (name: string, value: unknown, pattern: RegExp): void => {
    if (typeof value !== "string" || !pattern.test(value)) return;
    if (toSafeText(value, secrets) === value) metadata[name] = value;
  };
  add("provider_code", words?.code, CODE_PATTERN);
  add("provider_type", words?.type, CODE_PATTERN);
  add("provider_param", words?.param, PARAM_PATTERN);
  return metadata;
}

/**
 * The cause is logged, and what a provider or a server before it says of an error may quote the prompt (FastAPI, for
 * one, repeats the input that it refuses): only codes and titles are kept of it.
 */
function toLoggableCause(stated: StatedError, { text, rules }: ErrorFacts): string {
  const codes = stated.codes.filter((code) => CODE_PATTERN.test(code));
  if (codes.length > 0) return toSafeText(codes.join(" "), rules.secrets);
  const title = TITLE_PATTERN.exec(text.slice(0, MAX_INSPECTED_LENGTH))?.[1];
  if (title !== undefined) return toSafeText(title, rules.secrets);
  return `an error without a code, of ${text.length} characters`;
}

/** A number that is an HTTP status of an error. */
export function isErrorStatus(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 400 && value < 600;
}
