import { CostService } from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { CostAdjuster } from "../../core/cost-adjustment.ts";
import type { CostReader } from "../../core/ledger.ts";
import type { LedgerVerifier } from "../../core/ledger-check.ts";
import { effectivePageSize } from "../../core/paging.ts";
import { adjustmentFromProto } from "../convert/adjustment-from-proto.ts";
import { adjustmentToProto, verificationToProto } from "../convert/books-to-proto.ts";
import {
  costFilterFromProto,
  costQueryFromProto,
  verifiedIntervalFromProto,
} from "../convert/cost-from-proto.ts";
import { costRecordToProto, costReportToProto } from "../convert/cost-to-proto.ts";
import { limitToOwnCosts } from "../costs/cost-scope.ts";
import { nextPageToken, startPage } from "../costs/page-interval.ts";
import { type RpcMethod, unary } from "../rpc/rpc-method.ts";

/** What `CostService` is made of. */
export interface CostParts {
  readonly costs: CostReader;
  readonly adjuster: CostAdjuster;
  readonly verifier: LedgerVerifier;
  readonly clock: Clock;
}

/** `CostService`. A key without the role `read_costs` sees only its own costs. */
export function costMethods({ costs, adjuster, verifier, clock }: CostParts): readonly RpcMethod[] {
  const { costQuery, listCostRecords, adjustCosts, verifyLedger } = CostService.method;
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
    unary(
      adjustCosts,
      async (request, { principal, deadlineAtMs, signal }) => {
        const adjustment = adjustmentFromProto(request, clock.now());
        return adjustmentToProto(await adjuster.adjust(principal, adjustment, { deadlineAtMs, signal }));
      },
      ({ requestId }) => requestId || undefined,
    ),
    unary(verifyLedger, async (request, { deadlineAtMs }) => {
      const timeoutMs = Math.max(1, deadlineAtMs - clock.monotonicMs());
      return verificationToProto(await verifier.verify(verifiedIntervalFromProto(request), timeoutMs));
    }),
  ];
}
