import { type ErrorRules, isErrorStatus, type StatedError } from "../http-error.ts";
import { type JsonObject, readArray, readObject, readText } from "../read-json.ts";

/** Stands for a limit that only a new day lifts. */
const DAILY_QUOTA = "daily_quota";

/** The API answers with `google.rpc.Status`; a wrong key is status 400 with the reason `API_KEY_INVALID`. */
export function createErrorRules(secrets: readonly string[]): ErrorRules {
  return {
    readError: readStatedError,
    reasonByCode: {
      [DAILY_QUOTA]: "PROVIDER_QUOTA_EXHAUSTED",
      API_KEY_INVALID: "PROVIDER_AUTHENTICATION",
      UNAUTHENTICATED: "PROVIDER_AUTHENTICATION",
      PERMISSION_DENIED: "PROVIDER_AUTHENTICATION",
      // Said when the account must enable billing.
      FAILED_PRECONDITION: "PROVIDER_QUOTA_EXHAUSTED",
      NOT_FOUND: "PROVIDER_MODEL_NOT_FOUND",
      RESOURCE_EXHAUSTED: "PROVIDER_RATE_LIMITED",
      UNAVAILABLE: "PROVIDER_OVERLOADED",
      INTERNAL: "PROVIDER_ERROR",
      DEADLINE_EXCEEDED: "PROVIDER_ERROR",
      INVALID_ARGUMENT: "PROVIDER_INVALID_REQUEST",
    },
    overloadedStatuses: [],
    contextTooLongPattern: /input token count .*exceeds/i,
    contentFilteredPattern: undefined,
    secrets,
  };
}

/** `{error: {code, message, status, details: [google.rpc.…]}}` */
function readStatedError(body: JsonObject): StatedError {
  const error = readObject(body.error) ?? body;
  const details = readArray(error.details).map(readObject);
  const reason = details.map((detail) => readText(detail?.reason)).find((text) => text !== undefined);
  const violations = details.flatMap((detail) => readArray(detail?.violations).map(readObject));
  const isDaily = violations.some((violation) => /PerDay/.test(readText(violation?.quotaId) ?? ""));
  const delay = details.map((detail) => readText(detail?.retryDelay)).find((text) => text !== undefined);
  return {
    codes: [isDaily ? DAILY_QUOTA : undefined, reason, readText(error.status)].filter(
      (code) => code !== undefined,
    ),
    status: isErrorStatus(error.code) ? error.code : undefined,
    message: readText(error.message) ?? readText(body.error) ?? "",
    retryAfterMs: readDurationMs(delay),
  };
}

/** A `google.protobuf.Duration` as JSON: `34.074824224s`. */
function readDurationMs(duration: string | undefined): number | undefined {
  const match = /^(\d{1,6}(?:\.\d{1,9})?)s$/.exec(duration ?? "");
  return match ? Math.ceil(Number(match[1]) * 1_000) : undefined;
}
