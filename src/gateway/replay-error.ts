import { GatewayError } from "../core/errors.ts";
import { CompletionError } from "../core/gateway.ts";
import type { AttemptOutcome } from "../core/ledger.ts";
import type { Conclusion } from "../core/replay.ts";
import { toAttemptReport } from "./attempt-report.ts";

const NEW_ID = "to try, and pay, again send a new request_id";
const INTERRUPTED = "the call with this request_id was interrupted, and may have cost money";

export function requestIdReused(): GatewayError {
  return new GatewayError("REQUEST_ID_REUSED", "the request_id belongs to a call with another content");
}

/** No answer to repeat: the process died in the midst of the call, or what it came to is not kept. */
export function nothingToReplay(state: "unknown" | "not_kept"): GatewayError {
  return state === "unknown"
    ? new GatewayError("REQUEST_OUTCOME_UNKNOWN", `${INTERRUPTED}; ${NEW_ID}`)
    : new GatewayError(
        "REQUEST_ANSWER_NOT_KEPT",
        `the call with this request_id has ended, but its answer is not kept; ${NEW_ID}`,
      );
}

/** What repetitions get of a call whose process died in the midst of it, by the attempts that were open then. */
export function interruptedCall(orphans: readonly AttemptOutcome[]): Conclusion {
  const ended = orphans.flatMap(({ intent }) => intent.earlierAttempts ?? []);
  const attempts = new Map(
    [...ended, ...orphans.map(toAttemptReport)].map((attempt) => [attempt.attemptId, attempt]),
  );
  return {
    ...{ kind: "failed", reason: "REQUEST_OUTCOME_UNKNOWN", message: INTERRUPTED, metadata: {} },
    attempts: [...attempts.values()].toSorted((a, b) => a.ordinal - b.ordinal),
    delivered: undefined,
  };
}

/**
 * The failure of an earlier call, for a caller that asks again. Retrying it cannot help, whatever its reason. That the
 * earlier caller went away is not said to one that is there: what the call would have come to is not known.
 */
export function failedBefore(failure: Extract<Conclusion, { kind: "failed" }>): CompletionError {
  const { metadata, attempts } = failure;
  const { reason, message } = toldAgain(failure);
  return new CompletionError(reason, message, {
    ...{ metadata: { ...metadata, replayed: "true" }, attempts, replayed: true, retryable: false },
  });
}

function toldAgain({ reason, message }: Pick<GatewayError, "reason" | "message">) {
  switch (reason) {
    case "CANCELLED":
      return {
        reason: "REQUEST_OUTCOME_UNKNOWN",
        message: `the caller of the call with this request_id went away before it ended; ${NEW_ID}`,
      } as const;
    case "REQUEST_OUTCOME_UNKNOWN":
      return { reason, message: `${message}; ${NEW_ID}` };
    default:
      return { reason, message: `${message} (so ended the call with this request_id; ${NEW_ID})` };
  }
}

/** Those that waited for a call fail as it did; that cost nothing, so that they may ask again under the same id. */
export function failedTogether(error: unknown): unknown {
  if (!(error instanceof CompletionError)) return error;
  const { reason, message, cause, metadata, retryAfterMs, fieldViolations, quotaViolations, attempts } =
    error;
  const options = { cause, metadata, retryAfterMs, fieldViolations, quotaViolations, attempts };
  return new CompletionError(reason, message, { ...options, replayed: true });
}
