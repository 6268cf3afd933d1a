import {
  type CostAmounts as CostAmountsProto,
  type CostQueryResponse,
  CostRecordKind,
  type CostRecord as CostRecordProto,
  type CostRow as CostRowProto,
  type CoverageShare,
  type UnitPrices as UnitPricesProto,
} from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import { isEstimated, lacksPrice } from "../../core/attempt-totals.ts";
import type {
  CostAmounts,
  CostDimension,
  CostQuery,
  CostRecord,
  CostReport,
  CostRow,
} from "../../core/ledger.ts";
import { formatUsd, formatUsdPerMillionTokens } from "../../core/money.ts";
import type { UnitPrices } from "../../core/price.ts";
import { type CoverageShares, coverageShares } from "../costs/coverage.ts";
import { durationFromMs, timestampFromDate } from "./time.ts";
import {
  billingStateToProto,
  costToProto,
  errorReasonToProto,
  outcomeToProto,
  usageToProto,
} from "./usage-to-proto.ts";

/** The answer to a query. */
export function costReportToProto(query: CostQuery, report: CostReport): CostQueryResponse {
  return {
    $typeName: "llmgateway.v1.CostQueryResponse",
    // Without a dimension the one row would only repeat the totals.
    rows: query.groupBy.length === 0 ? [] : report.rows.map((row) => rowToProto(query.groupBy, row)),
    totals: amountsToProto(report.totals),
    asOf: timestampFromDate(report.asOf),
    startTime: timestampFromDate(query.start),
    endTime: timestampFromDate(query.end),
  };
}

function rowToProto(groupBy: readonly CostDimension[], row: CostRow): CostRowProto {
  const proto: CostRowProto = {
    $typeName: "llmgateway.v1.CostRow",
    apiKeyId: "",
    provider: "",
    model: "",
    tagValue: "",
    endUser: "",
    amounts: amountsToProto(row),
  };
  groupBy.forEach((dimension, index) => {
    setDimension(proto, dimension, row.key[index] ?? "");
  });
  return proto;
}

function setDimension(proto: CostRowProto, dimension: CostDimension, value: string): void {
  switch (dimension) {
    case "api_key":
      proto.apiKeyId = value;
      return;
    case "provider":
      proto.provider = value;
      return;
    case "model":
      proto.model = value;
      return;
    case "tag":
      proto.tagValue = value;
      return;
    case "end_user":
      proto.endUser = value;
      return;
    case "hour":
    case "day":
    case "month":
      proto.periodStart = timestampFromDate(new Date(value));
      return;
    default:
      dimension satisfies never;
  }
}

function amountsToProto(amounts: CostAmounts): CostAmountsProto {
  const shares = coverageShares(amounts);
  return {
    $typeName: "llmgateway.v1.CostAmounts",
    requests: amounts.requests,
    attempts: amounts.attempts,
    tokensIn: amounts.tokensIn,
    tokensOut: amounts.tokensOut,
    uncachedTokensIn: amounts.uncachedTokensIn,
    cacheReadTokensIn: amounts.cacheReadTokensIn,
    cacheWriteTokensIn: amounts.cacheWriteTokensIn,
    textTokensOut: amounts.textTokensOut,
    reasoningTokensOut: amounts.reasoningTokensOut,
    costUsd: formatUsd(amounts.costPicoUsd),
    coverage: {
      $typeName: "llmgateway.v1.Coverage",
      reported: shareToProto(shares.reported),
      estimated: shareToProto(shares.estimated),
      unpriced: shareToProto(shares.unpriced),
      notBilled: shareToProto(shares.not_billed),
      unknown: shareToProto(shares.unknown),
    },
  };
}

function shareToProto({ attempts, tokens, costPicoUsd }: CoverageShares): CoverageShare {
  return { $typeName: "llmgateway.v1.CoverageShare", attempts, tokens, costUsd: formatUsd(costPicoUsd) };
}

/** One entry of the ledger. */
export function costRecordToProto(record: CostRecord): CostRecordProto {
  const proto: CostRecordProto = {
    $typeName: "llmgateway.v1.CostRecord",
    attemptId: record.attemptId,
    requestId: record.requestId,
    ordinal: record.ordinal,
    kind: recordKindToProto(record.kind),
    revision: record.revision,
    adjustmentId: record.adjustmentId ?? "",
    apiKeyId: record.apiKeyId,
    provider: record.provider,
    model: record.model,
    outcome: outcomeToProto(record.outcome),
    errorReason: errorReasonToProto(record.errorReason),
    billingState: billingStateToProto(record.billingState),
    cost: costToProto({
      costPicoUsd: record.costPicoUsd,
      priceId: record.priceId,
      estimated: isEstimated(record),
      unpriced: lacksPrice(record),
    }),
    flags: [...record.flags],
    tags: { ...record.tags },
    endUser: record.endUser ?? "",
    streamed: record.streamed,
    latency: durationFromMs(record.latencyMs),
    occurredAt: timestampFromDate(record.occurredAt),
    recordedAt: timestampFromDate(record.recordedAt),
  };
  if (record.usage) proto.usage = usageToProto(record.usage, record.usageSource);
  if (record.providerCostPicoUsd !== undefined) proto.providerCostUsd = formatUsd(record.providerCostPicoUsd);
  if (record.unitPrices) proto.unitPrices = unitPricesToProto(record.unitPrices);
  return proto;
}

function recordKindToProto(kind: CostRecord["kind"]): CostRecordKind {
  switch (kind) {
    case "charge":
      return CostRecordKind.CHARGE;
    case "reversal":
      return CostRecordKind.REVERSAL;
    case "adjustment":
      return CostRecordKind.ADJUSTMENT;
    default:
      return kind satisfies never;
  }
}

/** Unit prices in USD per one million tokens. */
export function unitPricesToProto(prices: UnitPrices): UnitPricesProto {
  return {
    $typeName: "llmgateway.v1.UnitPrices",
    uncachedUsdPerMillion: formatUsdPerMillionTokens(prices.uncachedPicoUsdPerToken),
    cacheReadUsdPerMillion: formatUsdPerMillionTokens(prices.cacheReadPicoUsdPerToken),
    cacheWriteUsdPerMillion: formatUsdPerMillionTokens(prices.cacheWritePicoUsdPerToken),
    textOutUsdPerMillion: formatUsdPerMillionTokens(prices.textOutPicoUsdPerToken),
    reasoningOutUsdPerMillion: formatUsdPerMillionTokens(prices.reasoningOutPicoUsdPerToken),
  };
}
