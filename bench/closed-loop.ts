import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Tally } from "./tally.ts";
import type { Target } from "./target.ts";

export interface LoopOptions<Sample> {
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Taken at both ends of the measured window, under load. */
  readonly sample: () => Sample;
}

export interface LoopResult<Sample> {
  /** Calls over the whole run, with warm-up and drain. */
  readonly tally: Tally;
  /** Calls that succeeded within the measured window. */
  readonly measured: number;
  readonly measuredMessages: number;
  readonly seconds: number;
  /** Microseconds, of the calls that succeeded within the measured window. */
  readonly latency: RecordableHistogram;
  readonly before: Sample;
  readonly after: Sample;
}

/** A run makes at most so many calls, whatever the machine can do. */
const MAX_CALLS = 1_000_000;

/** Keeps a fixed number of calls in flight: the next one starts when one ends. */
export async function runClosedLoop<Sample>(
  target: Target,
  options: LoopOptions<Sample> & { readonly inFlight: number },
): Promise<LoopResult<Sample>> {
  const tally = new Tally();
  const latency = createHistogram();
  let phase: "warm-up" | "measure" | "drain" = "warm-up";
  let open = 0;
  let measured = 0;
  let measuredMessages = 0;
  let onDrained = () => {};

  const next = (): void => {
    const startedAt = performance.now();
    open += 1;
    target.send((failure, messages) => {
      open -= 1;
      tally.add(failure);
      if (phase === "measure" && failure === undefined) {
        measured += 1;
        measuredMessages += messages;
        latency.record(Math.max(1, Math.round((performance.now() - startedAt) * 1_000)));
      }
      if (phase !== "drain" && tally.calls + open < MAX_CALLS) next();
      else if (open === 0) onDrained();
    });
  };

  for (let slot = 0; slot < options.inFlight; slot += 1) next();
  await sleep(options.warmUpSeconds * 1_000);
  const before = options.sample();
  const measuredFrom = performance.now();
  phase = "measure";
  await sleep(options.seconds * 1_000);
  phase = "drain";
  const seconds = (performance.now() - measuredFrom) / 1_000;
  const after = options.sample();
  if (open > 0) {
    await new Promise<void>((resolve) => {
      onDrained = resolve;
    });
  }
  return { tally, measured, measuredMessages, seconds, latency, before, after };
}
