import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  AdjustCostsResponseSchema,
  VerifyLedgerResponseSchema,
} from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import type { AdjustmentResult } from "../../core/cost-adjustment.ts";
import type { LedgerVerification } from "../../core/ledger-check.ts";
import { formatUsd } from "../../core/money.ts";
import { timestampFromDate } from "./time.ts";

/** The answer to `AdjustCosts`. */
export function adjustmentToProto(
  result: AdjustmentResult,
): MessageInitShape<typeof AdjustCostsResponseSchema> {
  const { requestId, complete, examined, adjusted, unchanged, stillUnpriced } = result;
  return {
    adjustmentId: result.adjustmentId ?? "",
    ...{ requestId, complete, examined, adjusted, unchanged, stillUnpriced },
    costBeforeUsd: formatUsd(result.costBeforePicoUsd),
    costAfterUsd: formatUsd(result.costAfterPicoUsd),
    costDeltaUsd: formatUsd(result.costAfterPicoUsd - result.costBeforePicoUsd),
    priceIds: [...result.priceIds],
  };
}

/** The answer to `VerifyLedger`. */
export function verificationToProto(
  verification: LedgerVerification,
): MessageInitShape<typeof VerifyLedgerResponseSchema> {
  return {
    ok: verification.ok,
    checks: verification.checks.map((check) => ({ ...check })),
    differences: verification.differences.map((difference) => ({ ...difference })),
    startTime: timestampFromDate(verification.start),
    endTime: timestampFromDate(verification.end),
  };
}
