import type { IncomingHttpHeaders } from "node:http";
import type { ErrorRules, StatedError } from "../http-error.ts";
import { type JsonObject, readText } from "../read-json.ts";

/** Stands for a model that does not exist: the API has no exception of its own for that. */
const UNKNOWN_MODEL = "unknown_model";

export function createErrorRules(secrets: readonly string[]): ErrorRules {
  return {
    readError: readStatedError,
    reasonByCode: {
      [UNKNOWN_MODEL]: "PROVIDER_MODEL_NOT_FOUND",
      ResourceNotFoundException: "PROVIDER_MODEL_NOT_FOUND",
      AccessDeniedException: "PROVIDER_AUTHENTICATION",
      UnrecognizedClientException: "PROVIDER_AUTHENTICATION",
      InvalidSignatureException: "PROVIDER_AUTHENTICATION",
      ExpiredTokenException: "PROVIDER_AUTHENTICATION",
      ThrottlingException: "PROVIDER_RATE_LIMITED",
      ServiceQuotaExceededException: "PROVIDER_QUOTA_EXHAUSTED",
      ModelNotReadyException: "PROVIDER_OVERLOADED",
      ServiceUnavailableException: "PROVIDER_OVERLOADED",
      ModelTimeoutException: "PROVIDER_ERROR",
      ModelErrorException: "PROVIDER_ERROR",
      ModelStreamErrorException: "PROVIDER_ERROR",
      InternalServerException: "PROVIDER_ERROR",
      ValidationException: "PROVIDER_INVALID_REQUEST",
    },
    overloadedStatuses: [],
    contextTooLongPattern: /input is too long|prompt is too long|too many (input )?tokens|maximum context/i,
    contentFilteredPattern: /content filtering policy/i,
    secrets,
  };
}

/** The exception is named in a header, in a stream by its frame; the body has the message. */
function readStatedError(body: JsonObject, headers: IncomingHttpHeaders): StatedError {
  const header = headers["x-amzn-errortype"];
  const named = readText(body.__type) ?? (typeof header === "string" ? header : undefined);
  const message = readText(body.message) ?? readText(body.Message) ?? "";
  const isUnknownModel = /model identifier is invalid/i.test(message);
  const codes = [isUnknownModel ? UNKNOWN_MODEL : undefined, named && toExceptionName(named)];
  return { codes: codes.filter((code) => code !== undefined), status: undefined, message };
}

/** `ns#ValidationException:http://…` and a stream's `validationException` alike. */
function toExceptionName(text: string): string {
  const name = text.replace(/^.*#/, "").replace(/:.*$/, "");
  return name.charAt(0).toUpperCase() + name.slice(1);
}
