import { GatewayError } from "../../core/errors.ts";

/**
 * Waits until the call or the process ends. Never resolves.
 * @throws GatewayError DRAINING when the process shuts down, else the reason of the call's abort
 */
export function untilAborted(signal: AbortSignal, shutdown: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    const ended = () => {
      signal.removeEventListener("abort", ended);
      shutdown?.removeEventListener("abort", ended);
      reject(signal.aborted ? signal.reason : new GatewayError("DRAINING", "the gateway is shutting down"));
    };
    if (signal.aborted || shutdown?.aborted) return ended();
    signal.addEventListener("abort", ended);
    shutdown?.addEventListener("abort", ended);
  });
}
