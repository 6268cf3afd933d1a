import type { ErrorReason } from "../core/error-table.ts";
import {
  type AttemptIntent,
  type AttemptOutcome,
  type BillingState,
  HEDGE_LOST,
  type UsageSource,
} from "../core/ledger.ts";
import type { PicoUsd } from "../core/money.ts";
import type { UnitPrices } from "../core/price.ts";
import type { CancelledStreams } from "../core/provider.ts";
import type { ProviderError, ReceivedOutput } from "../core/provider-error.ts";
import {
  estimatedOutput,
  estimatedUsage,
  raisedOutput,
  type Usage,
  type UsageReport,
} from "../core/usage.ts";
import { priceAttempt } from "../pricing/price-attempt.ts";
import { estimateTokensOut } from "../pricing/token-estimator.ts";
import type { CountedTokens } from "../pricing/usage-estimator.ts";

/** How a call to a provider went, as far as it matters for money. */
export type AttemptResult =
  | {
      readonly kind: "answered";
      readonly usage: UsageReport;
      readonly received: ReceivedOutput;
      readonly providerCostPicoUsd?: PicoUsd | undefined;
      readonly separatelyBilledTools?: boolean | undefined;
      readonly providerRequestId: string | undefined;
      readonly responseModel: string | undefined;
    }
  | { readonly kind: "failed"; readonly error: ProviderError };

/** What an attempt used, before it is priced: usage comes first, price second. */
interface Counted {
  readonly usage: Usage | undefined;
  readonly usageSource: UsageSource;
  /** No outcome was seen, so what was counted is a guess about the provider, not about the text. */
  readonly outcomeUnknown: boolean;
  readonly flags: readonly string[];
}

/** The provider's final usage is missing, and work may have been done: somebody has to count. */
export function needsEstimate(result: AttemptResult): boolean {
  const { kind } = usageOf(result);
  if (kind === "reported") return false;
  // Whoever states an input has worked on it.
  return kind === "input_only" || kind === "so_far" || !wasRefused(result);
}

/**
 * Turns a result into the one outcome that is kept on the ledger. Never throws: a record is never lost to pricing.
 * Without `tokens` an estimate goes by bytes and is flagged.
 */
export function settleAttempt(options: {
  readonly intent: AttemptIntent;
  readonly result: AttemptResult;
  /** What was counted, if it is needed and could be. */
  readonly tokens?: CountedTokens | undefined;
  /** What the provider bills for an interrupted stream. @default estimate */
  readonly cancelledStreams?: CancelledStreams | undefined;
  readonly latencyMs: number;
  readonly timeToFirstTokenMs: number | undefined;
  /** Given up for a faster one. @default false */
  readonly lost?: boolean;
}): AttemptOutcome {
  const { intent, result, latencyMs, timeToFirstTokenMs } = options;
  const counted =
    options.cancelledStreams === "not_billed" && intent.streamed && wasInterrupted(result)
      ? NOT_BILLED_BY_POLICY
      : withTools(result, count(intent, result, options.tokens));
  const { flags, ...priced } = priceCounted(intent, counted);
  const failure = result.kind === "failed" ? result.error : undefined;
  return {
    intent,
    outcome: outcomeKind(failure),
    errorReason: failure?.reason,
    usage: counted.usage,
    usageSource: counted.usageSource,
    ...priced,
    providerCostPicoUsd: failure ? failure.providerCostPicoUsd : answered(result)?.providerCostPicoUsd,
    flags: options.lost ? [...flags, HEDGE_LOST] : flags,
    latencyMs,
    timeToFirstTokenMs,
    providerRequestId: failure ? failure.providerRequestId : answered(result)?.providerRequestId,
    responseModel: answered(result)?.responseModel,
  };
}

/**
 * The outcome of an attempt that the process did not live to see: nobody knows what the provider billed, so it is
 * unknown, with the input and what had arrived of the output by the last checkpoint as its estimate.
 */
export function settleOrphan(intent: AttemptIntent, received: ReceivedOutput): AttemptOutcome {
  const usage = estimatedUsage(intent.estimatedTokensIn, estimateTokensOut(received));
  const counted: Counted = { usage, usageSource: "estimated", outcomeUnknown: true, flags: ["ORPHANED"] };
  return {
    intent,
    outcome: "failed",
    errorReason: "INTERNAL",
    usage,
    usageSource: "estimated",
    ...priceCounted(intent, counted),
    latencyMs: 0,
    timeToFirstTokenMs: undefined,
    providerRequestId: undefined,
    responseModel: undefined,
  };
}

function answered(result: AttemptResult) {
  return result.kind === "answered" ? result : undefined;
}

function outcomeKind(failure: ProviderError | undefined): AttemptOutcome["outcome"] {
  if (!failure) return "succeeded";
  return failure.reason === "CANCELLED" || failure.reason === "DEADLINE_EXCEEDED" ? "cancelled" : "failed";
}

function usageOf(result: AttemptResult): UsageReport {
  return result.kind === "answered" ? result.usage : result.error.usage;
}

function wasRefused(result: AttemptResult): boolean {
  return result.kind === "failed" && result.error.billing === "not_billed";
}

/** The ends of a stream that a provider which bills no interrupted ones does not bill. */
const INTERRUPTIONS: ReadonlySet<ErrorReason> = new Set([
  "CANCELLED",
  "DEADLINE_EXCEEDED",
  "PROVIDER_TIMEOUT",
  "PROVIDER_STREAM_CUT",
]);

const NOT_BILLED_BY_POLICY: Counted = {
  usage: undefined,
  usageSource: "none",
  outcomeUnknown: false,
  flags: ["NOT_BILLED_BY_POLICY"],
};

/** Ended before its end. A final usage says that it was not: the provider had finished. */
function wasInterrupted(result: AttemptResult): boolean {
  if (result.kind === "answered" || wasRefused(result)) return false;
  return INTERRUPTIONS.has(result.error.reason) && result.error.usage.kind !== "reported";
}

/** What the tools cost nobody states: the tokens are what was counted, and their cost only the least that it was. */
function withTools(result: AttemptResult, counted: Counted): Counted {
  const ranTools = (result.kind === "answered" ? result : result.error).separatelyBilledTools;
  if (!ranTools || !counted.usage) return counted;
  return { ...counted, usageSource: "estimated", flags: [...counted.flags, "SEPARATELY_BILLED_TOOLS"] };
}

function count(intent: AttemptIntent, result: AttemptResult, tokens: CountedTokens | undefined): Counted {
  const usage = usageOf(result);
  const anomalies = usage.kind === "invalid" ? [usage.anomaly] : [];
  if (usage.kind === "reported") {
    return { usage: usage.usage, usageSource: "reported", outcomeUnknown: false, flags: anomalies };
  }
  if (!needsEstimate(result)) {
    return { usage: undefined, usageSource: "none", outcomeUnknown: false, flags: anomalies };
  }
  const received = result.kind === "answered" ? result.received : result.error.received;
  const byBytes = tokens ? [] : ["ESTIMATED_BY_BYTES"];
  // Providers send at least one token a delta.
  const tokensOut = Math.max(tokens?.tokensOut ?? estimateTokensOut(received), received.deltas);
  if (usage.kind === "input_only" || usage.kind === "so_far") {
    // The input is known to have been read, so the attempt is no unknown even if no output came.
    return {
      usage:
        usage.kind === "so_far"
          ? raisedOutput(usage.usage, tokensOut)
          : estimatedOutput(usage.input, tokensOut),
      usageSource: "estimated",
      outcomeUnknown: false,
      flags: ["INPUT_REPORTED", ...byBytes],
    };
  }
  return {
    usage: estimatedUsage(tokens?.tokensIn ?? intent.estimatedTokensIn, tokensOut),
    usageSource: "estimated",
    outcomeUnknown: result.kind === "failed" && received.deltas === 0,
    flags: [...anomalies, ...byBytes],
  };
}

interface Priced {
  readonly billingState: BillingState;
  readonly costPicoUsd: PicoUsd | undefined;
  readonly unitPrices: UnitPrices | undefined;
  readonly flags: readonly string[];
}

function priceCounted(intent: AttemptIntent, { usage, outcomeUnknown, flags }: Counted): Priced {
  if (!usage) return { billingState: "not_billed", costPicoUsd: 0n, unitPrices: undefined, flags };
  const unpriced: Priced = {
    billingState: outcomeUnknown ? "unknown" : "unpriced",
    costPicoUsd: undefined,
    unitPrices: undefined,
    flags,
  };
  if (!intent.price) {
    const free = !outcomeUnknown && usage.tokensIn === 0 && usage.tokensOut === 0;
    return free ? { ...unpriced, billingState: "settled", costPicoUsd: 0n } : unpriced;
  }
  try {
    const cost = priceAttempt(usage, intent.price);
    return { billingState: outcomeUnknown ? "unknown" : "settled", ...cost, flags };
  } catch {
    // A price that cannot be applied is a defect, but the tokens are known, and the record must not be lost with them.
    return { ...unpriced, flags: [...flags, "PRICING_FAILED"] };
  }
}
