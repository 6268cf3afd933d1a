import type { FinishReason } from "../core/completion.ts";
import { ProviderError, type ProviderErrorReason } from "../core/provider-error.ts";
import { badResponse, type SeenSoFar } from "./map-error.ts";

/** How a finish reason reads that means a failure and no answer. */
export interface FinishFailure {
  readonly failure: Extract<ProviderErrorReason, "PROVIDER_OVERLOADED" | "PROVIDER_ERROR">;
}

/** What a finish reason means; undefined for an unknown one, which is never passed off as complete. */
export type FinishMeaning = FinishReason | FinishFailure | undefined;

/** The error that such a finish reason is. `finishReason` is for the log. */
export function finishFailed(
  { failure }: FinishFailure,
  finishReason: string,
  seen: SeenSoFar,
): ProviderError {
  return new ProviderError(failure, "the provider gave up on the answer", {
    ...seen,
    billing: "maybe_billed",
    cause: finishReason,
  });
}

export function unknownFinishReason(finishReason: string, seen: SeenSoFar): ProviderError {
  return badResponse(`unknown finish reason ${JSON.stringify(finishReason.slice(0, 40))}`, seen);
}
