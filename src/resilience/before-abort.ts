/**
 * Waits for the work, but not beyond the abort of the signal. Says whether the work came first; rejects as the work
 * does. What becomes of work that was not waited for is the caller's to handle. For the signal of one request, which is
 * forgotten with it: it keeps its listener.
 */
export function beforeAbort(work: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    // To take it back would cost more than all the rest.
    signal.addEventListener("abort", () => resolve(false), { once: true });
    work.then(() => resolve(true), reject);
  });
}
