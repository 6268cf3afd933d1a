import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  CostDimension as CostDimensionProto,
  type CostFilter as CostFilterProto,
  type CostQueryRequest,
  type VerifyLedgerRequest,
} from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import type { CostDimension, CostFilter, CostQuery } from "../../core/ledger.ts";
import type { VerifiedInterval } from "../../core/ledger-check.ts";
import { checkInterval, resolveInterval } from "../costs/cost-scope.ts";
import { dateFromTimestamp } from "./time.ts";
import { Violations } from "./violations.ts";

const TIME_DIMENSIONS: ReadonlySet<CostDimension> = new Set(["hour", "day", "month"]);

/** @throws GatewayError INVALID_REQUEST when the interval is empty or a time is out of range */
export function costFilterFromProto(proto: CostFilterProto | undefined, now: Date): CostFilter {
  const violations = new Violations();
  const instant = (timestamp: Timestamp | undefined, field: string): Date | undefined => {
    if (!timestamp) return undefined;
    const date = dateFromTimestamp(timestamp);
    if (!date) violations.add(`filter.${field}`, "timestamp.range", "is out of range");
    return date;
  };
  const interval = {
    start: instant(proto?.startTime, "start_time"),
    end: instant(proto?.endTime, "end_time"),
  };
  const asOf = instant(proto?.asOf, "as_of");
  violations.throwIfAny();
  const filter = {
    ...resolveInterval(interval, now),
    apiKeyIds: proto?.apiKeyIds ?? [],
    providers: proto?.providers ?? [],
    models: proto?.models ?? [],
    tags: { ...proto?.tags },
    endUsers: proto?.endUsers ?? [],
    asOf,
  };
  checkInterval(filter, "filter.start_time");
  return filter;
}

/** @throws GatewayError INVALID_REQUEST when the dimensions do not fit together */
export function costQueryFromProto(proto: CostQueryRequest, now: Date): CostQuery {
  const violations = new Violations();
  const groupBy = proto.groupBy.map(dimensionFromProto).filter((dimension) => dimension !== undefined);
  if (groupBy.filter((dimension) => TIME_DIMENSIONS.has(dimension)).length > 1)
    violations.add("group_by", "group_by.one_time", "takes one of hour, day and month");
  if (groupBy.includes("tag") && proto.tagKey === "")
    violations.add("tag_key", "tag_key.required", "is required with COST_DIMENSION_TAG");
  if (!groupBy.includes("tag") && proto.tagKey !== "")
    violations.add("tag_key", "tag_key.unused", "goes with COST_DIMENSION_TAG only");
  violations.throwIfAny();
  const tagKey = proto.tagKey === "" ? undefined : proto.tagKey;
  return { ...costFilterFromProto(proto.filter, now), groupBy, tagKey };
}

/** An interval whose ends may be open. @throws GatewayError INVALID_REQUEST when it is empty or a time is out of range */
export function verifiedIntervalFromProto(proto: VerifyLedgerRequest): VerifiedInterval {
  const violations = new Violations();
  const instant = (timestamp: Timestamp | undefined, field: string): Date | undefined => {
    const date = timestamp && dateFromTimestamp(timestamp);
    if (timestamp && !date) violations.add(field, "timestamp.range", "is out of range");
    return date;
  };
  const start = instant(proto.startTime, "start_time");
  const end = instant(proto.endTime, "end_time");
  violations.throwIfAny();
  if (start && end) checkInterval({ start, end }, "start_time");
  return { start, end };
}

function dimensionFromProto(dimension: CostDimensionProto): CostDimension | undefined {
  switch (dimension) {
    case CostDimensionProto.API_KEY:
      return "api_key";
    case CostDimensionProto.PROVIDER:
      return "provider";
    case CostDimensionProto.MODEL:
      return "model";
    case CostDimensionProto.TAG:
      return "tag";
    case CostDimensionProto.END_USER:
      return "end_user";
    case CostDimensionProto.HOUR:
      return "hour";
    case CostDimensionProto.DAY:
      return "day";
    case CostDimensionProto.MONTH:
      return "month";
    case CostDimensionProto.UNSPECIFIED:
      return undefined;
    default:
      // What a later version of the contract may add.
      return undefined;
  }
}
