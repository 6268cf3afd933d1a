import {
  type AdjustCostsRequest,
  AdjustmentScope as AdjustmentScopeProto,
  type ExplicitPrice,
  type UnitPrices as UnitPricesProto,
} from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import type { AdjustmentRequest, AdjustmentSource } from "../../core/cost-adjustment.ts";
import { parseUsdPerMillionTokens } from "../../core/money.ts";
import type { UnitPrices } from "../../core/price.ts";
import { costFilterFromProto } from "./cost-from-proto.ts";
import { Violations } from "./violations.ts";

/** @throws GatewayError INVALID_REQUEST for an open interval, an `as_of`, or what is no price */
export function adjustmentFromProto(proto: AdjustCostsRequest, now: Date): AdjustmentRequest {
  const violations = new Violations();
  if (!proto.filter?.startTime) violations.add("filter.start_time", "required", "is required");
  if (!proto.filter?.endTime) violations.add("filter.end_time", "required", "is required");
  if (proto.filter?.asOf) violations.add("filter.as_of", "as_of.unused", "does not apply to an adjustment");
  const source = sourceFromProto(proto.explicitPrice, violations);
  violations.throwIfAny();
  return {
    requestId: proto.requestId === "" ? undefined : proto.requestId,
    reason: proto.reason,
    filter: costFilterFromProto(proto.filter, now),
    scope: proto.scope === AdjustmentScopeProto.ALL ? "all" : "unpriced",
    source,
    dryRun: proto.dryRun,
  };
}

function sourceFromProto(price: ExplicitPrice | undefined, violations: Violations): AdjustmentSource {
  if (!price?.unitPrices) return { kind: "price_book" };
  const { provider, model, source: name } = price;
  return { kind: "explicit", provider, model, name, unitPrices: unitPrices(price.unitPrices, violations) };
}

/** All five must be stated: a price that was forgotten is not free. */
function unitPrices(proto: UnitPricesProto, violations: Violations): UnitPrices {
  const parse = (text: string, field: string): bigint => {
    try {
      return parseUsdPerMillionTokens(text);
    } catch {
      const description = "must be USD per one million tokens with at most six places";
      violations.add(`explicit_price.unit_prices.${field}`, "unit_price.decimal", description);
      return 0n;
    }
  };
  return {
    uncachedPicoUsdPerToken: parse(proto.uncachedUsdPerMillion, "uncached_usd_per_million"),
    cacheReadPicoUsdPerToken: parse(proto.cacheReadUsdPerMillion, "cache_read_usd_per_million"),
    cacheWritePicoUsdPerToken: parse(proto.cacheWriteUsdPerMillion, "cache_write_usd_per_million"),
    textOutPicoUsdPerToken: parse(proto.textOutUsdPerMillion, "text_out_usd_per_million"),
    reasoningOutPicoUsdPerToken: parse(proto.reasoningOutUsdPerMillion, "reasoning_out_usd_per_million"),
  };
}
