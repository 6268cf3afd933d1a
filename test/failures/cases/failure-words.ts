import type { FailureWords } from "../../support/faces/face.ts";

interface Words extends FailureWords {
  readonly errorType: string;
  /** The caller is told when to try again. */
  readonly retry: boolean;
}

/** How the failures of the table read to their caller and in the metrics. Written by hand: the tests compare. */
export const FAILURE_WORDS = {
  PROVIDER_UNREACHABLE: words("UNAVAILABLE", [503, 503, 503], "ProviderError", true),
  PROVIDER_TIMEOUT: words("UNAVAILABLE", [503, 504, 504], "ProviderTimeoutError", true),
  PROVIDER_RATE_LIMITED: words("UNAVAILABLE", [503, 429, 429], "ProviderRateLimitError", true),
  PROVIDER_OVERLOADED: words("UNAVAILABLE", [503, 503, 529], "ProviderError", true),
  PROVIDER_ERROR: words("UNAVAILABLE", [503, 503, 503], "ProviderError", true),
  PROVIDER_BAD_RESPONSE: words("UNAVAILABLE", [503, 503, 503], "ProviderBadResponseError", true),
  PROVIDER_STREAM_CUT: words("UNAVAILABLE", [503, 503, 503], "ProviderStreamError", true),
  PROVIDER_AUTHENTICATION: words("UNAVAILABLE", [503, 503, 503], "ProviderAuthenticationError", false),
  PROVIDER_QUOTA_EXHAUSTED: words("UNAVAILABLE", [503, 429, 402], "ProviderQuotaExhaustedError", false),
  PROVIDER_MODEL_NOT_FOUND: words("NOT_FOUND", [404, 404, 404], "ProviderModelNotFoundError", false),
  PROVIDER_INVALID_REQUEST: words("INVALID_ARGUMENT", [400, 400, 400], "ProviderInvalidRequestError", false),
  CONTEXT_TOO_LONG: words("INVALID_ARGUMENT", [400, 400, 400], "ContextTooLongError", false),
  CONTENT_FILTERED: words("FAILED_PRECONDITION", [400, 400, 400], "ContentFilteredError", false),
  DEADLINE_EXCEEDED: words("DEADLINE_EXCEEDED", [504, 504, 504], "DeadlineExceededError", false),
} as const satisfies Readonly<Record<string, Words>>;

export type Reason = keyof typeof FAILURE_WORDS;

type Statuses = readonly [http: number, openAi: number, anthropic: number];

function words(code: string, [http, openAi, anthropic]: Statuses, errorType: string, retry: boolean): Words {
  return { code, http, openAi, anthropic, errorType, retry };
}
