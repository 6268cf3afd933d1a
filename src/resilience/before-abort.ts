/**
 * Waits for the work, but not beyond the abort of the signal. Says whether the work came first; rejects as the work
 * does. What becomes of work that was not waited for is the caller's to handle.
 */
export function beforeAbort(work: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(false);
    signal.addEventListener("abort", onAbort, { once: true });
    const stopListening = () => signal.removeEventListener("abort", onAbort);
    work.then(
      () => {
        stopListening();
        resolve(true);
      },
      (error: unknown) => {
        stopListening();
        reject(error);
      },
    );
  });
}
