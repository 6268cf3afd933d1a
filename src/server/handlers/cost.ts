import { CostService } from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { CostReader } from "../../core/ledger.ts";
import { effectivePageSize } from "../../core/paging.ts";
import { costFilterFromProto, costQueryFromProto } from "../convert/cost-from-proto.ts";
import { costRecordToProto, costReportToProto } from "../convert/cost-to-proto.ts";
import { limitToOwnCosts } from "../costs/cost-scope.ts";
import { nextPageToken, startPage } from "../costs/page-interval.ts";
import { type RpcMethod, unary } from "../rpc/rpc-method.ts";

/** `CostService`. A key without the role `read_costs` sees only its own costs. */
export function costMethods(costs: CostReader, clock: Clock): readonly RpcMethod[] {
  const { costQuery, listCostRecords } = CostService.method;
  return [
    unary(costQuery, async (request, { principal }) => {
      const asked = costQueryFromProto(request, clock.now());
      const query = { ...asked, ...limitToOwnCosts(asked, principal) };
      return costReportToProto(query, await costs.query(query));
    }),
    unary(listCostRecords, async (request, { principal }) => {
      const start = startPage(request.pageToken || undefined, clock.now());
      const page = await costs.listRecords({
        filter: limitToOwnCosts(costFilterFromProto(request.filter, start.now), principal),
        pageSize: effectivePageSize(request.pageSize),
        pageToken: start.ledgerToken,
      });
      return {
        records: page.records.map(costRecordToProto),
        nextPageToken: nextPageToken(start, page.nextPageToken),
      };
    }),
  ];
}
