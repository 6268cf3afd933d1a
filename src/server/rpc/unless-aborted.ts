import { GatewayError } from "../../core/errors.ts";

/**
 * Waits for the work, unless the call or the process ends first.
 * @throws GatewayError DRAINING when the process shuts down, else the reason of the call's abort
 */
export function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  shutdown: AbortSignal | undefined,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const aborted = () =>
    reject(signal.aborted ? signal.reason : new GatewayError("DRAINING", "the gateway is shutting down"));
  if (signal.aborted || shutdown?.aborted) aborted();
  signal.addEventListener("abort", aborted);
  shutdown?.addEventListener("abort", aborted);
  work.then(resolve, reject);
  return promise.finally(() => {
    signal.removeEventListener("abort", aborted);
    // The process's signal outlives the call: a listener left on it would be kept for ever.
    shutdown?.removeEventListener("abort", aborted);
  });
}
