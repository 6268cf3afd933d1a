import { GatewayError } from "../core/errors.ts";
import type { CompletionCall } from "../core/gateway.ts";
import type { Admission, RateLimiter } from "../core/keys.ts";

/**
 * Takes a place within the limits of the call's key.
 * @throws GatewayError RATE_LIMITED
 */
export async function admit(
  limiter: RateLimiter,
  call: CompletionCall,
  estimatedTokens: number,
): Promise<Admission> {
  try {
    return await limiter.admit(call.principal, estimatedTokens);
  } catch (error) {
    const quotaId = error instanceof GatewayError ? error.quotaViolations[0]?.quotaId : undefined;
    if (quotaId) call.telemetry.rateLimited(quotaId);
    throw error;
  }
}
