import { createHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { LoopOptions, LoopResult } from "./closed-loop.ts";
import { Tally } from "./tally.ts";
import type { Target } from "./target.ts";

/** Beyond this the target does not keep up, and further calls count as failed. */
const MAX_OPEN = 2_000;

/**
 * Starts calls at a constant rate, however long they take, so that a slow answer does not hide the ones behind it.
 * A call's latency counts from when it is really sent: the generator's own lateness is not the target's.
 */
export async function runOpenLoop<Sample>(
  target: Target,
  options: LoopOptions<Sample> & { readonly perSecond: number },
): Promise<LoopResult<Sample>> {
  const tally = new Tally();
  const latency = createHistogram();
  let measuring = false;
  let measured = 0;
  let measuredMessages = 0;
  let open = 0;

  const send = (): void => {
    if (open >= MAX_OPEN) {
      tally.add("more calls open than the target can take");
      return;
    }
    const startedAt = performance.now();
    const isMeasured = measuring;
    open += 1;
    target.send((failure, messages) => {
      open -= 1;
      tally.add(failure);
      if (!isMeasured || failure !== undefined) return;
      measured += 1;
      measuredMessages += messages;
      latency.record(Math.max(1, Math.round((performance.now() - startedAt) * 1_000)));
    });
  };
  const sendFor = async (durationSeconds: number): Promise<void> => {
    const from = performance.now();
    const total = Math.round(durationSeconds * options.perSecond);
    for (let sent = 0; sent < total; await sleep(1)) {
      const due = Math.min(total, ((performance.now() - from) / 1_000) * options.perSecond);
      for (; sent < due; sent += 1) send();
    }
  };

  await sendFor(options.warmUpSeconds);
  const before = options.sample();
  const measuredFrom = performance.now();
  measuring = true;
  await sendFor(options.seconds);
  const seconds = (performance.now() - measuredFrom) / 1_000;
  const after = options.sample();
  while (open > 0) await sleep(5);
  return { tally, measured, measuredMessages, seconds, latency, before, after };
}
