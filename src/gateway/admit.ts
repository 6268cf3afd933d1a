import { GatewayError } from "../core/errors.ts";
import type { GatewayCall } from "../core/gateway.ts";
import type { Admission, RateLimiter } from "../core/keys.ts";

/**
 * Takes a place within the limits of the call's key, and tells the call what is left of them.
 * @throws GatewayError RATE_LIMITED
 */
export async function admit(
  limiter: RateLimiter,
  call: GatewayCall,
  estimatedTokens: number,
): Promise<Admission> {
  try {
    const admission = await limiter.admit(call.principal, estimatedTokens);
    if (admission.limits) call.onAdmitted?.(admission.limits);
    return admission;
  } catch (error) {
    const quotaId = error instanceof GatewayError ? error.quotaViolations[0]?.quotaId : undefined;
    if (quotaId) call.telemetry.rateLimited(quotaId);
    throw error;
  }
}
