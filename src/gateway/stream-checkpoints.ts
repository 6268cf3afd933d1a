import type { Clock } from "../core/clock.ts";
import type { ReceivedOutput } from "../core/provider-error.ts";

/** The least time between two checkpoints of a stream. */
export const CHECKPOINT_INTERVAL_MS = 1_000;

/** Reports what a stream has received: the first deltas at once, then at most once a second. Call it with every part. */
export function createStreamCheckpoints(
  clock: Clock,
  output: { readonly received: ReceivedOutput },
  report: (received: ReceivedOutput) => void,
): () => void {
  let nextAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs < nextAtMs) return;
    const { received } = output;
    if (received.deltas === 0) return;
    nextAtMs = nowMs + CHECKPOINT_INTERVAL_MS;
    report(received);
  };
}
