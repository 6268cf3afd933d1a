import type { Clock } from "../core/clock.ts";
import type { StreamDelta } from "../core/completion.ts";
import type { ReceivedOutput } from "../core/provider-error.ts";

/** The least time between two checkpoints of a stream. */
export const CHECKPOINT_INTERVAL_MS = 1_000;

/** Counts what a stream has received and reports it: the first deltas at once, then at most once a second. */
export function createStreamCheckpoints(
  clock: Clock,
  report: (received: ReceivedOutput) => void,
): (deltas: readonly StreamDelta[]) => void {
  let outputBytes = 0;
  let count = 0;
  let nextAtMs = Number.NEGATIVE_INFINITY;
  return (deltas) => {
    for (const delta of deltas) outputBytes += deltaBytes(delta);
    count += deltas.length;
    const nowMs = clock.monotonicMs();
    if (nowMs < nextAtMs || count === 0) return;
    nextAtMs = nowMs + CHECKPOINT_INTERVAL_MS;
    report({ outputBytes, deltas: count });
  };
}

function deltaBytes(delta: StreamDelta): number {
  if (delta.kind !== "tool_call") return Buffer.byteLength(delta.text);
  return Buffer.byteLength(delta.name ?? "") + Buffer.byteLength(delta.argumentsDelta);
}
