import type { PicoUsd } from "../core/money.ts";
import type { Billing } from "../core/provider-error.ts";
import { ProviderError, type ProviderErrorOptions, type ReceivedOutput } from "../core/provider-error.ts";
import type { UsageReport } from "../core/usage.ts";
import type { TransportFailure } from "./http-transport.ts";

/** What was known of an answer when it failed. */
export interface SeenSoFar {
  readonly usage?: UsageReport | undefined;
  readonly providerCostPicoUsd?: PicoUsd | undefined;
  readonly separatelyBilledTools?: boolean | undefined;
  readonly received?: ReceivedOutput | undefined;
  readonly providerStatus?: number | undefined;
  readonly providerRequestId?: string | undefined;
}

/** undici's codes of what the provider said wrongly, as opposed to a socket that broke. */
const PROTOCOL_ERROR_CODES: ReadonlySet<string> = new Set([
  "UND_ERR_HEADERS_OVERFLOW",
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
]);

/**
 * A failure below HTTP as a ProviderError. What was not sent costs nothing; what was sent may have been worked on.
 * `streaming` says that the response of a stream had begun.
 */
export function mapTransportFailure(
  failure: TransportFailure,
  context: { readonly seen: SeenSoFar; readonly streaming: boolean },
): ProviderError {
  const billing: Billing = failure.sent ? "maybe_billed" : "not_billed";
  const options: ProviderErrorOptions = { ...context.seen, billing };
  switch (failure.kind) {
    case "aborted":
      return mapAbort(failure.reason, options);
    case "timeout":
      return new ProviderError(
        "PROVIDER_TIMEOUT",
        `the provider did not answer in time (${failure.phase} limit)`,
        {
          ...options,
          metadata: { timeout: failure.phase },
          cause: `${failure.phase} limit of ${Math.round(failure.limitMs)} ms exceeded`,
        },
      );
    case "network":
      return mapNetworkError(failure, options, context.streaming);
    default:
      return failure satisfies never;
  }
}

/**
 * The error that the aborter gave keeps its reason, message and metadata, and gains what only the adapter knows:
 * whether the request was sent, what was received, and the usage stated so far.
 */
export function mapAbort(reason: unknown, options: ProviderErrorOptions): ProviderError {
  if (!(reason instanceof ProviderError)) {
    return new ProviderError("CANCELLED", "the call was cancelled", { ...options, cause: reason });
  }
  return new ProviderError(reason.reason, reason.message, {
    ...options,
    cause: reason.cause ?? reason,
    metadata: reason.metadata,
    retryAfterMs: reason.retryAfterMs,
  });
}

/** The provider answered, but not in a way that is understood. `detail` is for the log. */
export function badResponse(
  detail: string,
  seen: SeenSoFar,
  billing: Billing = "maybe_billed",
): ProviderError {
  return new ProviderError("PROVIDER_BAD_RESPONSE", "the provider's answer was not understood", {
    ...seen,
    billing,
    cause: detail,
  });
}

/** The stream ended without its terminal event. `detail` is for the log. */
export function streamCut(detail: unknown, seen: SeenSoFar): ProviderError {
  return new ProviderError("PROVIDER_STREAM_CUT", "the provider's stream ended early", {
    ...seen,
    billing: "maybe_billed",
    cause: detail,
  });
}

function mapNetworkError(
  failure: Extract<TransportFailure, { kind: "network" }>,
  options: ProviderErrorOptions,
  streaming: boolean,
): ProviderError {
  const { error, sent } = failure;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "UND_ERR_INVALID_ARG") {
    return new ProviderError("PROVIDER_INVALID_REQUEST", "the request cannot be sent", {
      ...options,
      cause: error,
    });
  }
  if (code === "UND_ERR_CONNECT_TIMEOUT") {
    return new ProviderError("PROVIDER_TIMEOUT", "the provider did not answer in time (connect limit)", {
      ...options,
      metadata: { timeout: "connect" },
      cause: error,
    });
  }
  if (code === "UND_ERR_DESTROYED" || code === "UND_ERR_CLOSED") {
    return new ProviderError("CANCELLED", "the gateway closed its connections", { ...options, cause: error });
  }
  if (!sent) {
    return new ProviderError("PROVIDER_UNREACHABLE", "no connection to the provider", {
      ...options,
      cause: error,
    });
  }
  if (streaming) return streamCut(error, options);
  if (code.startsWith("HPE_") || PROTOCOL_ERROR_CODES.has(code)) {
    return new ProviderError("PROVIDER_BAD_RESPONSE", "the provider's answer was not understood", {
      ...options,
      cause: error,
    });
  }
  return new ProviderError("PROVIDER_ERROR", "the connection to the provider broke", {
    ...options,
    cause: error,
  });
}
