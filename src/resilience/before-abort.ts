/**
 * Waits for the work, but not beyond the abort of the signal. Says whether the work came first; rejects as the work
 * does. What becomes of work that was not waited for is the caller's to handle.
 */
export async function beforeAbort(work: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  let onAbort = () => {};
  const aborted = new Promise<boolean>((resolve) => {
    onAbort = () => resolve(false);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work.then(() => true), aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
