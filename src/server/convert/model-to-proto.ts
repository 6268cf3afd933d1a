import type { Model, ModelPrice } from "../../../gen/es/llmgateway/v1/model_pb.ts";
import type { ModelEntry } from "../../core/gateway.ts";
import type { Price } from "../../core/price.ts";
import { unitPricesToProto } from "./cost-to-proto.ts";
import { timestampFromDate } from "./time.ts";

/** A name that can be asked for, with its chain and the prices in force. */
export function modelToProto(entry: ModelEntry): Model {
  return {
    $typeName: "llmgateway.v1.Model",
    name: entry.name,
    chain: entry.chain.map(({ provider, model, price }) => {
      const candidate = { $typeName: "llmgateway.v1.ModelCandidate" as const, provider, model };
      return price ? { ...candidate, price: priceToProto(price) } : candidate;
    }),
  };
}

function priceToProto(price: Price): ModelPrice {
  const proto: ModelPrice = {
    $typeName: "llmgateway.v1.ModelPrice",
    priceId: price.priceId,
    unitPrices: unitPricesToProto(price.unitPrices),
    tiers: price.tiers.map(({ aboveTokensIn, unitPrices }) => ({
      $typeName: "llmgateway.v1.ModelPriceTier",
      aboveTokensIn: BigInt(aboveTokensIn),
      unitPrices: unitPricesToProto(unitPrices),
    })),
    source: price.source,
    window: price.window ?? "",
  };
  if (price.validFrom) proto.validFrom = timestampFromDate(price.validFrom);
  if (price.validTo) proto.validTo = timestampFromDate(price.validTo);
  return proto;
}
