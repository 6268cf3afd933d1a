import { ErrorReason } from "../../../gen/es/llmgateway/v1/error_reason_pb.ts";
import {
  type Attempt,
  AttemptOutcome,
  BillingState,
  type Cost,
  type FailedCompletion,
  type Usage,
  UsageSource,
} from "../../../gen/es/llmgateway/v1/usage_pb.ts";
import { isEstimated, lacksPrice, totalAttempts } from "../../core/attempt-totals.ts";
import type { ErrorReason as ErrorReasonName } from "../../core/error-table.ts";
import type { AttemptReport } from "../../core/gateway.ts";
import type {
  AttemptOutcomeKind,
  BillingState as BillingStateName,
  UsageSource as UsageSourceName,
} from "../../core/ledger.ts";
import { formatUsd, type PicoUsd } from "../../core/money.ts";
import type { Usage as DomainUsage } from "../../core/usage.ts";
import { durationFromMs } from "./time.ts";

/** A count of tokens. A bucket that no provider stated stays unset. */
export function usageToProto(usage: DomainUsage, source: UsageSourceName): Usage {
  const proto: Usage = {
    $typeName: "llmgateway.v1.Usage",
    tokensIn: BigInt(usage.tokensIn),
    tokensOut: BigInt(usage.tokensOut),
    uncachedTokensIn: BigInt(usage.uncachedTokensIn),
    textTokensOut: BigInt(usage.textTokensOut),
    source: usageSourceToProto(source),
  };
  if (usage.cacheReadTokensIn !== undefined) proto.cacheReadTokensIn = BigInt(usage.cacheReadTokensIn);
  if (usage.cacheWriteTokensIn !== undefined) proto.cacheWriteTokensIn = BigInt(usage.cacheWriteTokensIn);
  if (usage.reasoningTokensOut !== undefined) proto.reasoningTokensOut = BigInt(usage.reasoningTokensOut);
  return proto;
}

/** A cost; unknown stays unset, which is not zero. */
export function costToProto(cost: {
  readonly costPicoUsd: PicoUsd | undefined;
  readonly priceId: string | undefined;
  readonly estimated: boolean;
  readonly unpriced: boolean;
}): Cost {
  const proto: Cost = {
    $typeName: "llmgateway.v1.Cost",
    priceId: cost.priceId ?? "",
    estimated: cost.estimated,
    unpriced: cost.unpriced,
  };
  if (cost.costPicoUsd !== undefined) proto.costUsd = formatUsd(cost.costPicoUsd);
  return proto;
}

/** One attempt. */
export function attemptToProto(attempt: AttemptReport): Attempt {
  const proto: Attempt = {
    $typeName: "llmgateway.v1.Attempt",
    attemptId: attempt.attemptId,
    ordinal: attempt.ordinal,
    provider: attempt.provider,
    model: attempt.model,
    outcome: outcomeToProto(attempt.outcome),
    errorReason: errorReasonToProto(attempt.errorReason),
    latency: durationFromMs(attempt.latencyMs),
    cost: costToProto({
      costPicoUsd: attempt.costPicoUsd,
      priceId: attempt.priceId,
      estimated: isEstimated(attempt),
      unpriced: lacksPrice(attempt),
    }),
    billingState: billingStateToProto(attempt.billingState),
  };
  if (attempt.usage) proto.usage = usageToProto(attempt.usage, attempt.usageSource);
  return proto;
}

/** What every answer says about its attempts: each of them, and their usage and cost together. */
export function attemptsToProto(attempts: readonly AttemptReport[]): {
  attempts: Attempt[];
  usage?: Usage;
  cost: Cost;
} {
  const totals = totalAttempts(attempts);
  const cost = costToProto(totals);
  const reports = attempts.map(attemptToProto);
  return totals.usage
    ? { attempts: reports, usage: usageToProto(totals.usage, totals.usageSource), cost }
    : { attempts: reports, cost };
}

/** The error detail of a completion that failed after a provider was called. */
export function failedCompletionToProto(
  requestId: string,
  attempts: readonly AttemptReport[],
  replayed: boolean,
): FailedCompletion {
  return { $typeName: "llmgateway.v1.FailedCompletion", requestId, ...attemptsToProto(attempts), replayed };
}

export function usageSourceToProto(source: UsageSourceName): UsageSource {
  switch (source) {
    case "reported":
      return UsageSource.REPORTED;
    case "estimated":
      return UsageSource.ESTIMATED;
    case "none":
      return UsageSource.UNSPECIFIED;
    default:
      return source satisfies never;
  }
}

export function billingStateToProto(state: BillingStateName): BillingState {
  switch (state) {
    case "settled":
      return BillingState.SETTLED;
    case "unpriced":
      return BillingState.UNPRICED;
    case "not_billed":
      return BillingState.NOT_BILLED;
    case "unknown":
      return BillingState.UNKNOWN;
    default:
      return state satisfies never;
  }
}

export function outcomeToProto(outcome: AttemptOutcomeKind): AttemptOutcome {
  switch (outcome) {
    case "succeeded":
      return AttemptOutcome.SUCCEEDED;
    case "failed":
      return AttemptOutcome.FAILED;
    case "cancelled":
      return AttemptOutcome.CANCELLED;
    default:
      return outcome satisfies never;
  }
}

/** The proto's value of a reason; a stored reason of another version of the gateway that is not known is UNSPECIFIED. */
export function errorReasonToProto(reason: string | undefined): ErrorReason {
  return reason !== undefined && isReason(reason) ? ErrorReason[reason] : ErrorReason.UNSPECIFIED;
}

function isReason(reason: string): reason is ErrorReasonName & keyof typeof ErrorReason {
  return Object.hasOwn(ErrorReason, reason);
}
