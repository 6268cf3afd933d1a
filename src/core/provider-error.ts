import type { ErrorReason } from "./error-table.ts";
import { GatewayError, type GatewayErrorOptions } from "./errors.ts";
import type { PicoUsd } from "./money.ts";
import type { UsageReport } from "./usage.ts";

/** The reasons with which a call to a provider fails. */
export type ProviderErrorReason = Extract<
  ErrorReason,
  `PROVIDER_${string}` | "CONTEXT_TOO_LONG" | "CONTENT_FILTERED" | "DEADLINE_EXCEEDED" | "CANCELLED"
>;

/** What a failed attempt may have cost. */
export type Billing =
  /** The provider refused before it did any work: connect failure, 4xx, 5xx status. Costs nothing. */
  | "not_billed"
  /** Work may have been done and may be billed: timeout after the request was sent, cut, abort. */
  | "maybe_billed";

export interface ProviderErrorOptions extends GatewayErrorOptions {
  readonly billing: Billing;
  /** Usage that the provider stated before it failed. */
  readonly usage?: UsageReport | undefined;
  /** What the provider said that the call cost. */
  readonly providerCostPicoUsd?: PicoUsd | undefined;
  /** What came before the failure is charged beside the tokens, or otherwise: tools of its own, another tier. */
  readonly chargesBeyondTokens?: boolean | undefined;
  /** The provider's HTTP status, when there was one. */
  readonly providerStatus?: number | undefined;
  readonly providerRequestId?: string | undefined;
  /**
   * What was received before the failure, so that it can be estimated: characters of output text, reasoning and
   * tool arguments, and the number of deltas that carried them.
   */
  readonly received?: ReceivedOutput | undefined;
}

export interface ReceivedOutput {
  readonly outputBytes: number;
  readonly deltas: number;
}

/** Which failures the same provider may be asked again for. */
const RETRYABLE_ON_SAME_PROVIDER: ReadonlySet<ErrorReason> = new Set([
  "PROVIDER_RATE_LIMITED",
  "PROVIDER_OVERLOADED",
  "PROVIDER_ERROR",
  "PROVIDER_UNREACHABLE",
  "PROVIDER_BAD_RESPONSE",
  "PROVIDER_STREAM_CUT",
]);

/** Which failures say that the provider is unwell, so that its breaker counts them. */
const COUNTS_FOR_BREAKER: ReadonlySet<ErrorReason> = new Set([
  "PROVIDER_TIMEOUT",
  "PROVIDER_OVERLOADED",
  "PROVIDER_ERROR",
  "PROVIDER_UNREACHABLE",
  "PROVIDER_BAD_RESPONSE",
  "PROVIDER_STREAM_CUT",
]);

/** Failures that another provider would meet as well, or that end the request. */
const FINAL: ReadonlySet<ErrorReason> = new Set([
  "PROVIDER_INVALID_REQUEST",
  "CONTENT_FILTERED",
  "DEADLINE_EXCEEDED",
  "CANCELLED",
]);

/** A failed call to a provider. Made only by `map-error.ts` of a provider and by the chain itself. */
export class ProviderError extends GatewayError {
  override readonly name = "ProviderError";
  override readonly reason: ProviderErrorReason;
  readonly billing: Billing;
  readonly usage: UsageReport;
  readonly providerCostPicoUsd: PicoUsd | undefined;
  readonly chargesBeyondTokens: boolean;
  readonly providerStatus: number | undefined;
  readonly providerRequestId: string | undefined;
  readonly received: ReceivedOutput;

  constructor(reason: ProviderErrorReason, message: string, options: ProviderErrorOptions) {
    super(reason, message, options);
    this.reason = reason;
    this.billing = options.billing;
    this.usage = options.usage ?? { kind: "absent" };
    this.providerCostPicoUsd = options.providerCostPicoUsd;
    this.chargesBeyondTokens = options.chargesBeyondTokens ?? false;
    this.providerStatus = options.providerStatus;
    this.providerRequestId = options.providerRequestId;
    this.received = options.received ?? { outputBytes: 0, deltas: 0 };
  }

  /**
   * May the same provider be asked again? Its own word (`x-should-retry: false`, or a redirect) wins. Not for an answer of
   * which it stated the final usage: that is billed, and the next one would be billed as well.
   */
  get retryableOnSameProvider(): boolean {
    return (
      RETRYABLE_ON_SAME_PROVIDER.has(this.reason) &&
      this.metadata.should_retry !== "false" &&
      !usesTokens(this.usage)
    );
  }

  /** May the next provider of the chain be asked? */
  get fallsBack(): boolean {
    return !FINAL.has(this.reason);
  }

  get countsForBreaker(): boolean {
    return COUNTS_FOR_BREAKER.has(this.reason);
  }
}

function usesTokens(report: UsageReport): boolean {
  return report.kind === "reported" && report.usage.tokensIn + report.usage.tokensOut > 0;
}
