import { monitorEventLoopDelay } from "node:perf_hooks";
import { expect } from "vitest";
import { AttemptOutcome } from "../../../gen/es/llmgateway/v1/usage_pb.ts";
import { CALL_KINDS, type CallKind } from "../../support/completion-client.ts";
import { type FaultBench, startFaultBench } from "../../support/fault-bench.ts";
import { HEAP_PROBE_ENV, openHeapProbe } from "../../support/heap-probe.ts";
import { inBatches } from "../../support/in-parallel.ts";
import { expectLawL } from "../../support/law-l.ts";
import { MACHINE_NOISE_MS } from "../../support/machine-noise.ts";
import { figuresOf, type ScenarioFigures, scenario } from "../../support/scenario.ts";
import { scrape } from "../../support/scrape.ts";

const WARM_UP_ABORTS = 300;
const AT_ONCE = 20;
const MAX_HEAP_CHANGE = 0.05;
const ABORT_WITHIN_MS = 250;
/** A call left to itself takes 60 to 210 ms; aborts come within 250 ms, so that some come too late. */
const TOKENS = 30;
const MAX_ABORT_AFTER_MS = 250;

interface Abort {
  readonly kind: CallKind;
  readonly model: string;
  readonly latencyMs: number;
  readonly tokenDelayMs: number;
  /** After so many pieces of text, or after a time. */
  readonly afterTokens: number | undefined;
  readonly afterMs: number;
}

/** Half of the streams are left at a token, everything else at a time. */
function drawAbort(random: () => number, models: Readonly<Record<CallKind, string>>): Abort {
  const kind = CALL_KINDS[Math.floor(random() * CALL_KINDS.length)] ?? "unary";
  const byToken = kind === "stream" && random() < 0.5;
  return {
    ...{ kind, model: models[kind], latencyMs: Math.floor(random() * 60) },
    ...{ tokenDelayMs: 2 + Math.floor(random() * 3), afterMs: random() * MAX_ABORT_AFTER_MS },
    afterTokens: byToken ? 1 + Math.floor(random() * TOKENS) : undefined,
  };
}

/** Calls and goes away. Resolves to when, on the clock of the simulator, unless the answer was there before. */
async function callAndAbort(bench: FaultBench, abort: Abort): Promise<readonly [string, number | undefined]> {
  const { kind, model, latencyMs, tokenDelayMs, afterTokens } = abort;
  const controller = new AbortController();
  let leftAt: number | undefined;
  const leave = () => {
    leftAt ??= Date.now();
    controller.abort();
  };
  let pieces = 0;
  const timer = afterTokens === undefined ? setTimeout(leave, abort.afterMs) : undefined;
  const { error, requestId } = await bench.complete({
    ...{ kind, model, signal: controller.signal, mayBeLost: true },
    scripts: { openai: { latencyMs, tokenDelayMs, tokensOut: TOKENS } },
    onText: () => {
      pieces += 1;
      if (pieces === afterTokens) leave();
    },
  });
  clearTimeout(timer);
  return [requestId, error ? leftAt : undefined];
}

async function abortAndJudge(aborts: number, random: () => number): Promise<ScenarioFigures> {
  const groups = { openai: { profile: "openai", count: 2 } } as const;
  const bench = await startFaultBench({ groups, env: HEAP_PROBE_ENV });
  const heap = await openHeapProbe(bench.gateway);
  const models = { unary: bench.candidate(), stream: bench.candidate() };
  const run = (count: number) =>
    inBatches(
      AT_ONCE,
      Array.from({ length: count }, () => drawAbort(random, models)),
      (abort) => callAndAbort(bench, abort),
    );
  const isIdle = async () => (await scrape(bench.url)).sum("llm_gateway_in_flight_requests");

  await run(WARM_UP_ABORTS);
  await expect.poll(isIdle, { timeout: 5_000 }).toBe(0);
  const heapBefore = await heap.liveBytes();
  const lag = monitorEventLoopDelay({ resolution: 5 });
  lag.enable();
  const left = new Map(await run(aborts));
  lag.disable();
  await expect.poll(isIdle, { timeout: 5_000 }).toBe(0);
  const heapChange = (await heap.liveBytes()) / heapBefore - 1;

  const delaysMs = (await bench.billed()).flatMap(({ reference = "", startedAt, clientAbortedAfterMs }) => {
    const leftAt = left.get(reference);
    if (leftAt === undefined || clientAbortedAfterMs === undefined) return [];
    return [startedAt + clientAbortedAfterMs - leftAt];
  });
  // The others came before the call was sent or after its answer, how many depends on the machine.
  expect(delaysMs.length).toBeGreaterThan(aborts / 10);
  const sortedMs = delaysMs.toSorted((a, b) => a - b);
  const [p99Ms = 0, slowestMs = 0] = [sortedMs[Math.floor(sortedMs.length * 0.99)], sortedMs.at(-1)];
  expect(p99Ms).toBeLessThanOrEqual(ABORT_WITHIN_MS + MACHINE_NOISE_MS);
  // The machine may hold up any of the three processes; how long, this one tells.
  expect(slowestMs).toBeLessThanOrEqual(ABORT_WITHIN_MS + MACHINE_NOISE_MS + (3 * lag.max) / 1e6);
  const report = await expectLawL(bench, "thorough");
  const cancelled = report.matched.filter(({ record }) => record.outcome === AttemptOutcome.CANCELLED);
  const aborted = report.matched.filter(({ line }) => line.clientAbortedAfterMs !== undefined);
  expect(cancelled.length).toBeGreaterThanOrEqual(delaysMs.length);
  expect(aborted.every(({ record }) => record.outcome === AttemptOutcome.CANCELLED)).toBe(true);
  expect(Math.abs(heapChange), `the heap changed by ${(100 * heapChange).toFixed(1)} %`).toBeLessThan(
    MAX_HEAP_CHANGE,
  );
  heap.close();
  await bench.close();
  const notes = `${delaysMs.length} aborts reached the provider, 99 % within ${p99Ms} ms, the last after ${slowestMs} ms; heap ${(100 * heapChange).toFixed(1)} %`;
  return { ...figuresOf(report), calls: bench.outcomes.length, notes };
}

export function describeAborts(): void {
  scenario(
    "callers who leave at random points are followed by the provider's call within 250 ms, and leave nothing behind",
    { short: 1_000, long: 10_000, timeoutMs: { short: 300_000, long: 900_000 } },
    ({ size, random }) => abortAndJudge(size, random()),
  );
}
