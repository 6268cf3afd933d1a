import { ProviderError, type ReceivedOutput } from "../core/provider-error.ts";
import type { Answered } from "./run-attempt.ts";

/** Why an attempt is given up: another candidate, asked beside it, was faster. Neither its fault nor the caller's. */
export class LostRaceError extends ProviderError {
  constructor() {
    super("CANCELLED", "another candidate answered first", { billing: "maybe_billed" });
  }
}

/** The signal of an attempt that was given up for a faster one. */
export const lostRace = ({ reason }: AbortSignal): boolean => reason instanceof LostRaceError;

/** An answer that came a moment too late is given up as well, with all that is known of it. */
export function tooLate(answer: Answered, received: ReceivedOutput): ProviderError {
  const { reason, message } = new LostRaceError();
  const { usage, providerCostPicoUsd, chargesBeyondTokens, providerRequestId } = answer;
  return new ProviderError(reason, message, {
    ...{ billing: "maybe_billed", received },
    ...{ usage, providerCostPicoUsd, chargesBeyondTokens, providerRequestId },
  });
}
