import type { GatewayCall } from "../../core/gateway.ts";
import { type CompatibleCall, idempotencyId } from "./compatible-call.ts";

/** A call as the core takes it, but for what it asks for. It was authenticated. */
export function toGatewayCall(
  call: CompatibleCall,
  request: Pick<GatewayCall, "model" | "fallbackModels" | "tags" | "endUser">,
): GatewayCall {
  return {
    requestId: call.requestId,
    repeatable: idempotencyId(call.request) !== undefined,
    principal: call.principal,
    model: request.model,
    fallbackModels: request.fallbackModels,
    tags: { ...call.principal.tags, ...request.tags },
    endUser: request.endUser,
    deadlineAtMs: call.deadlineAtMs,
    signal: call.signal,
    telemetry: call.telemetry,
    onAdmitted: (status) => {
      call.limits = status;
    },
  };
}
